"""The table of faults: every test marked `fault` is run, and each row says what was injected, how and what
came of it.

    python benchmarks/faults.py [pytest arguments]

A test fails when anything is lost, so "nothing" is only written where it passed. Seconds are those of the
whole test with the work that was disturbed, so they bound the recovery from above.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict

import pytest


class FaultTable:
    """A pytest plugin that collects outcome and duration of each marked test."""

    def __init__(self) -> None:
        self._faults: dict[str, tuple[str, str]] = {}
        self._seconds: dict[str, float] = defaultdict(float)
        self._outcomes: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """What each test injects, by its own mark."""
        for item in items:
            if marker := item.get_closest_marker("fault"):
                self._faults[item.nodeid] = (str(marker.args[0]), str(marker.kwargs["how"]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a phase's time; the worst phase decides the outcome."""
        self._seconds[report.nodeid] += report.duration
        if report.outcome != "passed" or report.when == "call":
            self._outcomes[report.nodeid] = report.outcome

    def print_markdown(self) -> None:
        """One row for each fault; the cases of a parametrised test are one row."""
        rows: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for node, (fault, how) in self._faults.items():
            rows[fault, how, node.partition("[")[0]].append(node)
        print("| fault | injected how | lost | s, at most | test |\n|---|---|---|---|---|")
        for (fault, how, test), nodes in rows.items():
            outcomes = {self._outcomes.get(node, "not run") for node in nodes}
            lost = "nothing" if outcomes == {"passed"} else ", ".join(sorted(outcomes))
            seconds = max(self._seconds[node] for node in nodes)
            print(f"| {fault} | {how} | {lost} | {seconds:.1f} | `{test.removeprefix('tests/')}` |")
        print(f"\n{len(rows)} faults, {time.strftime('%Y-%m-%d')}")


def main() -> int:
    """Run and print."""
    table = FaultTable()
    code = pytest.main(["-m", "fault", "-q", "--durations=0", "--no-header", *sys.argv[1:]], plugins=[table])
    table.print_markdown()
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
