"""A second host or container: it does no work for a store that is not its own, and its runs are not taken for
dead.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Failed, Pending, Running

from flows import sweep
from flows.ephemeral import own_address
from flows.gathering import _result
from flows.hooks import tell_failure
from flows.reconciliation import GRACE, _is_gone
from flows.refresh import refresh
from modelyard.errors import AnotherStoreError, ConfigError, StoreError
from modelyard.home import Home
from modelyard.machine.identity import identity
from modelyard.machine.store_mark import StoreMark
from modelyard.operations import supervision
from modelyard.operations.state import UpState, running_state, write_state
from modelyard.operations.status import part_statuses
from modelyard.recipes.words import Words
from tests.elsewhere import elsewhere

MARK = StoreMark(id="0" * 16, host="driver", root="/driver/runs", lease="1-2.json")
ANY = cast(Any, None)


def run_trial() -> None:
    sweep.trial.fn(ANY, ANY, MARK)


def run_search() -> None:
    sweep.search_trial.fn(ANY, ANY, MARK, 1)


def run_schedule() -> None:
    refresh.fn(Words(dataset="digits"), MARK)


@pytest.mark.parametrize("work", [run_trial, run_search, run_schedule])
def test_work_for_another_store_ends_before_anything_is_made(store: Path, work: Any) -> None:
    with pytest.raises(AnotherStoreError, match=r"0{16} at /driver/runs of host driver, found no store"):
        work()
    assert list(store.iterdir()) == []


def test_nothing_is_recorded_where_there_is_no_store(store: Path) -> None:
    run = FlowRun(flow_id=uuid4(), name="refresh lit")
    tell_failure(refresh, run, Failed(message="x", data=AnotherStoreError("x")))
    assert list(store.iterdir()) == []


class Future:
    """What an engine gives back."""

    def __init__(self, end: BaseException, is_raised: bool = False) -> None:
        self.end, self.is_raised = end, is_raised

    def result(self, raise_on_failure: bool) -> BaseException:
        if self.is_raised:
            raise self.end
        return self.end


def test_such_a_host_ends_the_sweep_before_it_takes_every_trial(store: Path) -> None:
    with pytest.raises(AnotherStoreError, match="its store"):
        _result(cast(Any, Future(AnotherStoreError("its store"))))
    with pytest.raises(StoreError, match=r"a worker is lost .Failed to reach API.*PREFECT_API_URL"):
        _result(cast(Any, Future(RuntimeError("Failed to reach API"), is_raised=True)))
    wrong = ConfigError("wrong input fails its own trial")
    assert cast(object, _result(cast(Any, Future(wrong)))) is wrong


def flow_run(state: State[Any], *, age: timedelta = timedelta(0), **more: Any) -> FlowRun:
    state.timestamp = datetime.now(UTC) - age
    return FlowRun(
        flow_id=uuid4(), deployment_id=uuid4(), state=state, **{"work_pool_name": "modelyard", **more}
    )


def test_a_run_of_another_container_is_not_taken_for_dead(store: Path) -> None:
    with elsewhere(store / "there", "namespace"):
        theirs, infrastructure = identity(os.getpid()), f"{os.uname().nodename}:4194304"
    late = GRACE * 2
    assert not _is_gone(flow_run(Running(), tags=[theirs]))
    assert not _is_gone(flow_run(Pending(), tags=[theirs], age=late))
    assert not _is_gone(flow_run(Running(), infrastructure_pid=infrastructure, age=late))
    assert not _is_gone(flow_run(Pending(), infrastructure_pid=infrastructure, age=late))
    assert not _is_gone(flow_run(Pending(), work_pool_name="kubernetes", age=late))
    assert not _is_gone(flow_run(Pending()))
    assert _is_gone(flow_run(Pending(), age=late))
    assert _is_gone(flow_run(Running(), tags=[f"{identity(os.getpid())}9"]))


def test_an_up_of_another_container_is_told_and_not_sent_the_string(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever serves on this container's loopback is not its server."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    home, address = Home.current(), {"prefect": "http://127.0.0.1:4200"}
    with elsewhere(store / "there", "namespace", "host"):
        write_state(home, UpState(process=identity(os.getpid()), socket="/nowhere", addresses=address))
        assert own_address(home) == address["prefect"]
    assert own_address(home) is None and running_state(home) is not None
    there = r"in another container or machine \(host another; if gone, remove up.json\)"
    with pytest.raises(ConfigError, match=f"runs already on .* {there}"):
        supervision.refuse_second(home)
    with pytest.raises(StoreError, match=f"supervisor {there} does not answer"):
        part_statuses(home)
