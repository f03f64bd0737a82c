"""What becomes of schedules: told from deployment, schedule, queue, pool, worker and `modelyard
up` together.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from flows.guard import why_refused, wrong_parameters
from flows.schedule import deployments, find
from flows.times import next_dates, zone_of
from modelyard.home import Home
from modelyard.operations.work_pool import POOL

ENDED = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}}


def rows(*, is_served: bool = True) -> list[dict[str, Any]]:
    """One row for each schedule of each deployment; `is_served`: the server stays when this command ends."""
    with get_client(sync_client=True) as client:
        return [row for deployment in deployments(client) for row in _rows(client, deployment, is_served)]


def history(name: str, limit: int, *, is_served: bool = True) -> list[dict[str, Any]]:
    """The runs of a schedule that are due or over, newest first. Raises: ConfigError."""
    due = {"expected_start_time": {"before_": datetime.now(UTC)}}
    with get_client(sync_client=True) as client:
        deployment = find(client, name)
        runs = _runs(client, deployment, due, FlowRunSort.EXPECTED_START_TIME_DESC, limit)
        waits = _obstacle(client, deployment, {}, is_served) or "it waits for a free worker"
    return [_run_row(run, deployment, waits) for run in runs]


def _run_row(run: FlowRun, deployment: DeploymentResponse, waits: str) -> dict[str, Any]:
    state, key = run.state, run.idempotency_key or ""
    schedules = sorted(
        deployment.schedules, key=lambda one: str(one.id) not in key
    )  # the one that planned it first
    zone = zone_of(schedules[0].schedule if schedules else None)
    return {
        "due": run.expected_start_time.astimezone(zone) if run.expected_start_time else None,
        "run": run.name,
        "state": state.name if state else "",
        "tries": run.run_count,
        "s": round(run.total_run_time.total_seconds()),
        "why": waits
        if state and state.name in {"Scheduled", "Late"}
        else (state.message if state else "") or "",
    }


def _runs(
    client: SyncPrefectClient,
    deployment: DeploymentResponse,
    wanted: dict[str, Any],
    sort: FlowRunSort,
    limit: int,
) -> list[FlowRun]:
    same, chosen = (
        DeploymentFilter.model_validate({"id": {"any_": [deployment.id]}}),
        FlowRunFilter.model_validate(wanted),
    )
    found: list[FlowRun] = client.read_flow_runs(
        flow_run_filter=chosen, deployment_filter=same, sort=sort, limit=limit
    )
    return found


def _rows(
    client: SyncPrefectClient, deployment: DeploymentResponse, is_served: bool
) -> Iterator[dict[str, Any]]:
    last = next(iter(_runs(client, deployment, ENDED, FlowRunSort.END_TIME_DESC, 1)), None)
    request = deployment.parameters.get("request")
    dates = {one.id: next_dates(one.schedule) for one in deployment.schedules}
    for one in sorted(deployment.schedules, key=lambda one: str(one.created)) or (None,):
        schedule = one.schedule if one else None
        zone, (state, why) = zone_of(schedule), _state(deployment, one, dates)
        if one and not state:
            why = _obstacle(client, deployment, one.parameters, is_served)
        date = next(iter(dates[one.id] or ()), None) if one and not state else None
        every = str(getattr(schedule, "interval", getattr(schedule, "rrule", "")))
        yield {
            "name": deployment.name,
            "dataset": str(request.get("dataset", "")) if isinstance(request, dict) else "",
            "cron": getattr(schedule, "cron", ""),
            "every": " ".join(every.split()),
            "timezone": zone.key,
            "pool": deployment.work_pool_name,
            "state": state or ("blocked" if why else "active"),
            "why": why,
            "next": date,
            "last": last.end_time.astimezone(zone) if last and last.end_time else None,
            "result": last.state_name if last else "",
        }


def _state(
    deployment: DeploymentResponse,
    one: DeploymentSchedule | None,
    dates: Mapping[UUID, list[datetime] | None],
) -> tuple[str, str]:
    """What Prefect plans no run for, and why, with the remedy: paused (the deployment), off (the schedule),
    ended (no date is left), wrong (it has none), blocked (by another) or empty (no schedule). Both empty
    where it does plan.
    """
    name = shlex.quote(deployment.name)
    resume = f"go on with: modelyard schedule resume {name}"
    if one is None:
        return "empty", f"no schedule is left; give it one: modelyard schedule change {name} --cron"
    if dates[one.id] is None:
        return (
            "wrong",
            "never due, or an end or a zone that does not fit; modelyard schedule change, or in Prefect",
        )
    if deployment.paused:
        return "paused", resume
    if not one.active:
        return "off", f"it was switched off in Prefect; {resume}"
    if any(other.active and dates[other.id] is None for other in deployment.schedules):
        return "blocked", f"Prefect plans no run while another is wrong; {resume}"
    return (
        ("", "")
        if dates[one.id]
        else ("ended", f"no date is left; modelyard schedule change {name} --cron, or remove")
    )


def _obstacle(
    client: SyncPrefectClient, deployment: DeploymentResponse, parameters: dict[str, Any], is_served: bool
) -> str:
    """Why a run that is due does not start, with the remedy; empty where a worker takes it."""
    name, is_own = shlex.quote(deployment.name), deployment.work_pool_name == POOL
    try:
        pool = client.read_work_pool(deployment.work_pool_name or "-")
        queue = client.read_work_queue(deployment.work_queue_id or pool.default_queue_id)
    except ObjectNotFound:
        return f"its work pool was deleted; give it one: modelyard schedule change {name} --pool {POOL}"
    run = FlowRun(flow_id=deployment.flow_id, parameters=deployment.parameters | parameters)
    shared = deployment.global_concurrency_limit
    limits = [
        pool.concurrency_limit,
        queue.concurrency_limit,
        shared.limit if shared and shared.active else None,
    ]
    refused = (
        why_refused(run, deployment, pool, Home.current()) if is_own else wrong_parameters(run.parameters)
    )
    is_remote = pool.is_push_pool or pool.is_managed_pool
    online = is_remote or any(
        one.status.value == "ONLINE" for one in client.read_workers_for_work_pool(pool.name)
    )
    resume = f"go on with: modelyard schedule resume {name}" if is_own else "go on in Prefect"
    start = "modelyard up" if is_own else f"prefect worker start --pool {shlex.quote(pool.name)}"
    found = (
        (refused, refused),
        (f"the pool {pool.name} is paused; {resume}", pool.is_paused),
        (f"the queue {queue.name} of the pool {pool.name} is paused; {resume}", queue.is_paused),
        ("its pool, queue or deployment allows 0 runs at once; raise that limit in Prefect", 0 in limits),
        ("nothing runs on this store; start it with: modelyard up", not is_served),
        (f"no worker of the pool {pool.name} is online; start one with: {start}", not online),
    )
    return next((why for why, holds in found if holds), "")
