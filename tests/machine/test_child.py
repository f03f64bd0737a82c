"""Children that start ahead: the next imports while this process does other work."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelyard.errors import ModelyardError, TrainingKilledError
from modelyard.machine.child import Child, children_to_come, run_in_child

ROOT = Path(__file__).parents[2]


def start() -> Child:
    return Child("tests.machine.answering_child", ROOT, {"PYTHONPATH": str(ROOT)})


def work(name: str) -> dict[str, Any]:
    """What a child told of working on a folder of that name."""
    answers: list[dict[str, Any]] = []
    run_in_child(start, Path(name), answers.append)
    (answer,) = answers
    return answer


def own_children() -> set[int]:
    return {
        child.pid for child in psutil.Process().children() if "answering_child" in "".join(child.cmdline())
    }


def test_each_child_is_told_its_folder_and_was_there_before() -> None:
    with children_to_come(2, start):
        for name in ("first", "second"):
            (ahead,) = own_children()
            assert work(name) == {"process": ahead, "folder": name}
        assert not own_children(), "no more were wanted"
        assert work("third")["folder"] == "third"
    assert not own_children()


def test_what_was_started_in_vain_is_ended() -> None:
    with pytest.raises(ModelyardError, match="expected another folder"), children_to_come(2, start):
        work("wrong")
    with children_to_come(1, start):
        assert own_children()
    assert not own_children()


@pytest.mark.fault("a training's process is killed before its turn", how="SIGKILL of the one that waits")
def test_one_that_was_killed_before_its_turn_is_replaced() -> None:
    with children_to_come(1, start):
        (ahead,) = own_children()
        os.kill(ahead, signal.SIGKILL)
        while psutil.Process(ahead).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert work("first")["process"] != ahead


def test_a_child_that_is_killed_at_work_is_told_of_as_such() -> None:
    with children_to_come(1, start), pytest.raises(TrainingKilledError):
        run_in_child(start, Path("long"), lambda answer: os.kill(answer["process"], signal.SIGKILL))
