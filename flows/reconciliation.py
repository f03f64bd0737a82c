"""Flow runs whose process is gone, which Prefect may call Running for ever, or that an outage ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import AwaitingRetry, Crashed

from modelyard.home import Home
from modelyard.machine.identity import PREFIX, is_gone
from modelyard.operations.work_pool import POOL

MAX_ATTEMPTS = 3
RETRY_DELAY = timedelta(seconds=15)
GRACE = timedelta(seconds=90)
"""How long a run may be pending without a process: the time of a slow start."""
PUT_BACK = "put back"
"""Tag of a run that waits to be tried again: Prefect's worker may report the same end once more, over the
waiting state.
"""
LOOK_BACK, MOST_ENDED = timedelta(hours=1), 50
"""How long ago, and of how many runs, an end is still worth a second try."""
OUTAGES = (
    "ConcurrencySlotAcquisitionError",
    "PrefectHTTPStatusError",
    "ConnectError",
    "ConnectTimeout",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
)
"""What fails in a run while Prefect's server is away."""


def reconcile(*, put_back: bool = False) -> list[str]:
    """Mark runs of killed processes Crashed; with `put_back` those of a schedule that were killed, or that an
    outage of Prefect's server ended, are tried `MAX_ATTEMPTS` times. Gives the names of the runs that were
    marked or put back.
    """
    with get_client(sync_client=True) as client:
        newest = {"sort": FlowRunSort.EXPECTED_START_TIME_DESC, "limit": MOST_ENDED}
        ended = _in_state(client, "CRASHED", "FAILED", **newest) if put_back else []
        ended = [run for run in ended if _deserves_another(run)]
        gone = [run for run in _in_state(client, "RUNNING", "PENDING", "CANCELLING") if _is_gone(run)]
        for run in gone:
            client.set_flow_run_state(run.id, Crashed(message="its process was killed"), force=True)
        for run in [*gone, *ended]:
            claim(client, run, None)
            if put_back and run.deployment_id is not None and run.run_count < MAX_ATTEMPTS:
                _put_back(client, run)
    return [run.name for run in [*gone, *ended]]


def _put_back(client: SyncPrefectClient, run: FlowRun) -> None:
    when = datetime.now(UTC) + RETRY_DELAY
    again: State[Any] = AwaitingRetry(
        scheduled_time=when, message="it was killed, or Prefect's server was away; once more"
    )
    claim(client, run, PUT_BACK)
    client.set_flow_run_state(run.id, again, force=True)


def _in_state(client: SyncPrefectClient, *kinds: str, **more: Any) -> list[FlowRun]:
    wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": kinds}}})
    return client.read_flow_runs(flow_run_filter=wanted, **more)


def _deserves_another(run: FlowRun) -> bool:
    """Whether a schedule's run ended lately by a kill that Prefect's own worker saw, or by an outage.

    A run that was given up says no more who works on it.
    """
    if (
        run.state is None
        or run.deployment_id is None
        or not any(tag.startswith((PREFIX, PUT_BACK)) for tag in run.tags)
    ):
        return False
    if PUT_BACK in run.tags:
        return run.state.is_crashed()
    was_outage = any(f"exception: {name}" in (run.state.message or "") for name in OUTAGES)
    is_recent = datetime.now(UTC) - run.state.timestamp < LOOK_BACK
    return is_recent and _is_gone(run) and (run.state.is_crashed() or was_outage)


def claim(client: SyncPrefectClient, run: FlowRun, owner: str | None) -> None:
    """Say which process works on a run, or that it was put back, instead of what was said before."""
    client.update_flow_run(run.id, tags=owned_tags(run, owner))


def owned_tags(run: FlowRun, owner: str | None) -> list[str]:
    """A run's tags, with its owner instead of those before."""
    kept = [tag for tag in run.tags if not tag.startswith((PREFIX, PUT_BACK))]
    return [*kept, owner] if owner else kept


def _is_gone(run: FlowRun) -> bool:
    """Whether the process that worked on it, or was to, is no more. What Prefect notes, `host:pid`, says
    nothing of containers: a run that names no owner is judged only where the worker of `up` was to start it
    and had not yet said so."""
    if names := [tag for tag in run.tags if tag.startswith(PREFIX)]:
        return any(is_gone(name, Home.current()) for name in names)
    if run.state is None or run.state.is_running() or run.infrastructure_pid or run.work_pool_name != POOL:
        return False
    return run.deployment_id is not None and datetime.now(UTC) - run.state.timestamp > GRACE
