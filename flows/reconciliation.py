"""Flow runs whose process is gone: Prefect would call them Running for ever."""

from __future__ import annotations

import platform
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import AwaitingRetry, Crashed

from modelyard.identity import PREFIX, is_gone

MAX_ATTEMPTS = 3
RETRY_DELAY = timedelta(seconds=15)
GRACE = timedelta(seconds=90)
"""How long a run may be pending without a process: the time of a slow start."""


def reconcile(*, put_back: bool = False) -> list[str]:
    """Mark such runs Crashed and give their names; with `put_back` those of a schedule are tried `MAX_ATTEMPTS` times."""
    unfinished = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING])
    with get_client(sync_client=True) as client:
        gone = [
            run
            for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=unfinished)))
            if _is_gone(run)
        ]
        for run in gone:
            client.set_flow_run_state(run.id, Crashed(message="its process was killed"), force=True)
            claim(client, run, None)
            if put_back and run.deployment_id is not None and run.run_count < MAX_ATTEMPTS:
                again: State[Any] = AwaitingRetry(
                    scheduled_time=datetime.now(UTC) + RETRY_DELAY, message="its process was killed; once more"
                )
                client.set_flow_run_state(run.id, again, force=True)
    return [run.name for run in gone]


def claim(client: SyncPrefectClient, run: FlowRun, process: str | None) -> None:
    """Say which process works on a run, instead of one that did before."""
    kept = [tag for tag in run.tags if not tag.startswith(PREFIX)]
    client.update_flow_run(run.id, tags=[*kept, process] if process else kept)


def _is_gone(run: FlowRun) -> bool:
    """Whether the process that worked on it, or was to, is no more on this machine."""
    if names := [tag for tag in run.tags if tag.startswith(PREFIX)]:
        return any(map(is_gone, names))
    has_ended = _has_ended(run.infrastructure_pid)
    if run.state is not None and run.state.is_running():
        return has_ended is True
    since = run.state.timestamp if run.state else None
    return run.deployment_id is not None and since is not None and datetime.now(UTC) - since > GRACE and has_ended is not False


def _has_ended(infrastructure: str | None) -> bool | None:
    """Whether the process `host:pid` is no more; None where that cannot be said."""
    host, _, pid = (infrastructure or "").rpartition(":")
    if host != platform.node() or not pid.isdigit():
        return None
    return not psutil.pid_exists(int(pid))
