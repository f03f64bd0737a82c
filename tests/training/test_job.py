"""Processes of ours: what they answer, and what they import."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from modelyard.training.job import answers

ROOT = Path(__file__).parents[2]


def test_only_answers_reach_the_parent(capfd: pytest.CaptureFixture[str]) -> None:
    kept = os.dup(1)
    with answers() as stream:
        os.write(1, b"an own module prints")
        print("the answer", file=stream)
    os.dup2(kept, 1)
    os.close(kept)
    assert capfd.readouterr().out == "the answer\n"


@pytest.mark.parametrize("package", ["src", "flows"])
def test_no_process_of_ours_imports_from_the_current_folder(package: str) -> None:
    """Where somebody's architectures are called `random.py` or `queue.py`."""
    commands = [line for file in (ROOT / package).rglob("*.py") for line in re.findall(r'.*"-m", .*', file.read_text())]
    started = [line for line in commands if "executable" in line or "python" in line]
    assert started
    assert [line for line in started if '"-P", "-m"' not in line] == []
