"""Children that start ahead: the next imports while this process does other work."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelyard.errors import ModelyardError, TrainingKilledError
from modelyard.machine.child import Child, children_to_come, run_in_child

ROOT = Path(__file__).parents[2]


def start() -> Child:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return Child("tests.machine.answering_child", ROOT, {"PYTHONPATH": path})


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


def test_one_child_that_was_there_before_works_on_each_folder_in_a_fork() -> None:
    with children_to_come(2, start):
        (ahead,) = own_children()
        told = [work(name) for name in ("first", "second")]
        assert [(one["first"], one["folder"]) for one in told] == [(ahead, "first"), (ahead, "second")]
        assert len({ahead, *(one["process"] for one in told)}) == 3
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
        assert work("first")["first"] != ahead


@pytest.mark.parametrize("which", ["process", "first"])
def test_a_child_that_is_killed_at_work_is_told_of_as_such(which: str) -> None:
    told: list[dict[str, Any]] = []

    def kill(answer: dict[str, Any]) -> None:
        told.append(answer)
        os.kill(answer[which], signal.SIGKILL)

    with children_to_come(2, start), pytest.raises(TrainingKilledError):
        run_in_child(start, Path("long"), kill)
    assert not own_children()
    with suppress(psutil.NoSuchProcess):  # nothing outlives it; whoever takes orphans may not have looked
        while psutil.Process(told[0]["process"]).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
