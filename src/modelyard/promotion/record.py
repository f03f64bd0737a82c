"""The last judgement of a version, kept beside its release: the bundle itself is sealed and may be judged
again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.errors import StoreError
from modelyard.files import parse_json, read_regular

RECORD_BYTES = 16 * 2**20


def record_file(release: Path) -> Path:
    """`<version>.gates.json` beside the release folder `<version>`."""
    return release.with_name(f"{release.name}.gates.json")


def read_record(release: Path) -> dict[str, Any]:
    """The judgement; empty before the first. Raises: StoreError when it cannot be read."""
    path = record_file(release)
    try:
        record = parse_json(read_regular(path, RECORD_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); delete the file") from error
    return record if isinstance(record, dict) else {}


def describe_record(release: Path) -> str:
    """One line for a model's card."""
    record = read_record(release)
    if not record:
        return "not judged yet"
    against = (
        "without a champion to compare with"
        if record["champion"] is None
        else f"against version {record['champion']}"
    )
    failed = [
        f"{verdict['name']}: {verdict['reason']}" for verdict in record["verdicts"] if not verdict["passed"]
    ]
    outcome = f"failed {'; '.join(failed)}" if failed else f"passed all {len(record['verdicts'])}"
    return f"{outcome} ({against}, {record['judged'][:16]} UTC)"
