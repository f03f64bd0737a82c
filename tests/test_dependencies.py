"""What is said of the packages in the lock is so."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from benchmarks import audit, licences

KNOWN: dict[str, Any] = {"name": "good", "version": "1", "vulns": []}
FAULTY: dict[str, Any] = {"name": "bad", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN: dict[str, Any] = {"name": "odd", "skip_reason": "Dependency not found on PyPI"}


def rows() -> dict[str, str]:
    lines = [line for line in licences.PAGE.read_text().splitlines() if line.startswith("| ")][2:]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


def test_each_locked_package_has_an_identifier_or_a_file() -> None:
    found = rows()
    assert {name: line.split(" | ")[1] for name, line in found.items()} == licences.locked()
    silent = [line for line in found.values() if "see the file" in line and "`" not in line]
    assert silent == []


def test_the_page_says_what_the_installed_packages_say() -> None:
    found = rows()
    packages = {name: licences.installed(name, version) for name, version in licences.locked().items()}
    told = {name: licences.row(name, package) for name, package in packages.items() if package is not None}
    assert {name: found[name] for name in told} == told, "run: make licences"
    assert licences.PAGE.read_text().startswith(licences.HEAD)


@pytest.mark.parametrize(
    ("answer", "code", "line"),
    [
        ([KNOWN], audit.CLEAN, "1 packages asked about, 0 known vulnerabilities"),
        ([KNOWN, FAULTY], audit.FOUND, "bad 2: CVE-1, mended in 3"),
        (
            [KNOWN, UNKNOWN],
            audit.CLEAN,
            "1 packages asked about, 0 known vulnerabilities; the service does not know odd",
        ),
        (
            [UNKNOWN],
            audit.NOT_ASKED,
            "NOT AUDITED: the advisory service knows none of the 1 packages: no real one is reached",
        ),
    ],
)
def test_a_package_that_was_not_asked_about_is_not_said_to_be_clean(
    answer: list[dict[str, Any]], code: int, line: str
) -> None:
    found, lines = audit.verdict(answer)
    assert found == code
    assert lines[0] == line


@pytest.mark.parametrize("said", ["", "[]", "{}", "null", "Traceback"])
def test_an_audit_that_cannot_ask_says_so_in_one_line(said: str, capfd: pytest.CaptureFixture[str]) -> None:
    script = f"import sys; print({said!r}); sys.exit('no route to the service')"
    assert audit.main([sys.executable, "-c", script]) == audit.NOT_ASKED
    told = capfd.readouterr().out
    assert told == "NOT AUDITED: pip-audit could not ask an advisory service: no route to the service\n"
