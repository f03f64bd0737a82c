"""What flow runs tell when they end badly: each end once, by kind, never raising."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import State, flow
from prefect.client.schemas.objects import FlowRun
from prefect.states import Crashed, Failed

from flows.hooks import tell_crash, tell_failure, tell_refusal
from modelyard.alerts.record import read_record
from modelyard.errors import DataRefused
from modelyard.home import Home
from modelyard.promotion.automatic import Verdict
from modelyard.promotion.comparison import NOT_COMPARED, REFUSED


@flow
def compare() -> None:
    """Never called: hooks are given the flow, its run and its state."""


def a_run(parent: Any = None) -> FlowRun:
    return FlowRun(flow_id=uuid4(), name="compare on lit", parent_task_run_id=parent)


def failed(error: Exception) -> State[Any]:
    return Failed(message=f"Flow run encountered an exception: {error}", data=error)


def test_each_end_is_told_by_its_kind(store: Path) -> None:
    tell_failure(compare, a_run(), failed(ValueError("a bug")))
    tell_failure(compare, a_run(), failed(DataRefused("lit: refused: classes gone: e", ["classes gone: e"])))
    tell_crash(compare, a_run(), Crashed(message="stopped by SIGTERM"))
    tell_failure(compare, a_run(parent=uuid4()), failed(ValueError("its caller tells")))
    told = [(entry["kind"], entry["title"]) for entry in read_record(Home(store / "runs"))]
    assert told == [
        ("failure", "compare on lit: a bug"),
        ("data-refused", "compare on lit: lit: refused: classes gone: e"),
        ("crash", "compare on lit: stopped by SIGTERM"),
    ]


def test_a_refusal_is_told_once_and_being_no_better_is_not(store: Path) -> None:
    tell_refusal("lit", Verdict(None, "not better on validation than version 1", {"champion_version": 1}))
    for champion in (1, 1, 2):
        tell_refusal("lit", Verdict(None, f"{REFUSED}, overall: worse", {"champion_version": champion}))
    for _ in range(2):
        tell_refusal(
            "lit", Verdict(None, f"{NOT_COMPARED}: classes of version 3 are gone: a", {"champion_version": 3})
        )
    told = [(entry["kind"], entry["facts"]["champion"]) for entry in read_record(Home(store / "runs"))]
    assert told == [("refused", 1), ("refused", 2), ("refused", 3)]


def test_a_hook_survives_a_store_that_cannot_be_written(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (store / "runs").write_text("no folder")
    tell_failure(compare, a_run(), failed(ValueError("x")))
    assert "could not be recorded or sent" in caplog.text
