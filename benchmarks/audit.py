"""`make audit`: are there known vulnerabilities in the packages of requirements.lock?

    python benchmarks/audit.py PIP_AUDIT...

asks with that command, which has an environment of its own. A package that the service does not know, or a
service that cannot be reached, is none without faults: pip-audit itself ends with "No known vulnerabilities
found" where each was answered by 404.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
CLEAN, FOUND, NOT_ASKED = 0, 1, 3
OPTIONS = (
    "--requirement",
    str(LOCK),
    "--require-hashes",
    "--disable-pip",
    "--progress-spinner",
    "off",
    "--format",
    "json",
)


def verdict(dependencies: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Exit code and lines for the packages in pip-audit's answer."""
    known = [one for one in dependencies if "vulns" in one]
    unknown = [one["name"] for one in dependencies if "vulns" not in one]
    if not known:
        return NOT_ASKED, [
            f"NOT AUDITED: the advisory service knows none of the {len(unknown)} packages: no real "
            "one is reached"
        ]
    lines = [
        f"{one['name']} {one['version']}: {fault['id']}, mended in "
        f"{', '.join(fault['fix_versions']) or 'no version yet'}"
        for one in known
        for fault in one["vulns"]
    ]
    asked = f"{len(known)} packages asked about, {len(lines)} known vulnerabilities"
    told = f"; the service does not know {', '.join(unknown)}" if unknown else ""
    return FOUND if lines else CLEAN, [*lines, asked + told]


def main(command: list[str]) -> int:
    """Exit code: 0 none known, 1 some, 3 could not ask."""
    done = subprocess.run([*command, *OPTIONS], capture_output=True, text=True, check=False)
    try:
        code, lines = verdict(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError, TypeError):
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
        code, lines = NOT_ASKED, [f"NOT AUDITED: pip-audit could not ask an advisory service: {said}"]
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
