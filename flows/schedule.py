"""Schedules: deployments of `refresh` in a work pool, with a cron line and its time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags, FlowFilter, FlowFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.types.names import WITHOUT_BANNED_CHARACTERS
from pydantic import Field, ValidationError

from flows.refresh import ENTRYPOINT, RefreshRequest, refresh
from flows.worker import POOL
from modelyard.config import Config
from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.store_mark import make_mark

NAME = re.compile(WITHOUT_BANNED_CHARACTERS)


class NewSchedule(Config):
    """What `modelyard schedule add` is told."""

    name: str
    cron: str
    timezone: str
    request: RefreshRequest
    pool: str = POOL
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables of its runs, such as where the data are."""


def parse_cron(cron: str, timezone: str) -> CronSchedule:
    """Raises: ConfigError naming what is wrong with either."""
    try:
        return CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        if any(part["loc"] == ("timezone",) for part in error.errors()):
            raise ConfigError(f"unknown time zone {timezone!r}: expected an IANA name such as Europe/Berlin or UTC") from None
        raise ConfigError(
            f"wrong cron line {cron!r}: expected minute hour day month weekday, as in '0 2 * * *' for two at night"
        ) from None


def check_names(*names: str) -> None:
    """Raises: ConfigError for what Prefect takes as no deployment's or work pool's name."""
    for name in names:
        if not NAME.fullmatch(name):
            raise ConfigError(f"{name!r} cannot be a schedule's or a pool's name: expected none of / % & > <; choose another")


def add(new: NewSchedule) -> None:
    """Raises: ConfigError when the name is taken."""
    schedule = parse_cron(new.cron, new.timezone)
    with get_client(sync_client=True) as client:
        if any(known.name == new.name for known in _deployments(client)):
            raise ConfigError(
                f"schedule {new.name!r} exists; remove it first (modelyard schedule remove) or choose another --name"
            )
        ensure_pool(client, new.pool)
        client.create_deployment(
            flow_id=client.create_flow(refresh), name=new.name, entrypoint=ENTRYPOINT, work_pool_name=new.pool,
            parameters={"request": new.request.model_dump(mode="json"), "store": make_mark(Home.current()).model_dump()},
            tags=["modelyard"],
            schedules=[DeploymentScheduleCreate(schedule=schedule, active=True)],
            job_variables={"env": new.environment} if new.environment else {}, enforce_parameter_schema=False,
        )  # fmt: skip


def ensure_pool(client: SyncPrefectClient, name: str) -> None:
    """A pool for processes of this machine, where there is none of that name."""
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        try:
            client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        except ObjectAlreadyExists:
            return


def rows() -> list[dict[str, Any]]:
    """One row for each schedule: when it runs, when next, how the last run ended."""
    with get_client(sync_client=True) as client:
        return [_row(client, deployment) for deployment in _deployments(client)]


def pause(name: str) -> None:
    """Plan no more runs; those at work go on. Raises: ConfigError."""
    with get_client(sync_client=True) as client:
        client.pause_deployment(_find(client, name).id)


def resume(name: str) -> None:
    """Plan runs again. Raises: ConfigError."""
    with get_client(sync_client=True) as client:
        client.resume_deployment(_find(client, name).id)


def remove(name: str) -> None:
    """Forget the schedule; its past runs stay. Raises: ConfigError."""
    with get_client(sync_client=True) as client:
        client.delete_deployment(_find(client, name).id)


def run_now(name: str) -> str:
    """One more run, as soon as a worker is free; gives its name. Raises: ConfigError."""
    with get_client(sync_client=True) as client:
        return str(client.create_flow_run_from_deployment(_find(client, name).id).name)


def history(name: str, limit: int) -> list[dict[str, Any]]:
    """The runs of a schedule that are due or over, newest first. Raises: ConfigError."""
    with get_client(sync_client=True) as client:
        chosen = DeploymentFilter.model_validate({"id": {"any_": [_find(client, name).id]}})
        runs = client.read_flow_runs(deployment_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=200)
    now = datetime.now(UTC)
    return [_run_row(run) for run in runs if run.expected_start_time and run.expected_start_time <= now][:limit]


def _run_row(run: FlowRun) -> dict[str, Any]:
    state = run.state
    return {
        "due": f"{run.expected_start_time:%Y-%m-%d %H:%M:%S}", "run": run.name, "state": state.name if state else "",
        "tries": run.run_count, "s": round(run.total_run_time.total_seconds()), "why": (state.message if state else "") or "",
    }  # fmt: skip


def _deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    found: list[DeploymentResponse] = client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[refresh.name])),
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=["modelyard"])),
    )
    return sorted(found, key=lambda deployment: deployment.name)


def _find(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    known = {deployment.name: deployment for deployment in _deployments(client)}
    if name not in known:
        raise ConfigError(f"unknown schedule {name!r}: " + (f"expected {', '.join(known)}" if known else "there is none yet"))
    return known[name]


def _row(client: SyncPrefectClient, deployment: DeploymentResponse) -> dict[str, Any]:
    chosen = DeploymentFilter.model_validate({"id": {"any_": [deployment.id]}})
    runs = client.read_flow_runs(deployment_filter=chosen, sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=200)
    ended = [run for run in runs if run.state and run.state.is_final()]
    planned = [run.expected_start_time for run in runs if run.state and run.state.is_scheduled() and run.expected_start_time]
    schedule = deployment.schedules[0].schedule if deployment.schedules else None
    cron, timezone = (schedule.cron, schedule.timezone) if isinstance(schedule, CronSchedule) else ("", "")
    return {
        "name": deployment.name, "dataset": (deployment.parameters or {}).get("request", {}).get("dataset", ""),
        "cron": cron, "timezone": timezone, "pool": deployment.work_pool_name,
        "state": "paused" if deployment.paused else "active",
        "next": f"{min(planned):%Y-%m-%d %H:%M} UTC" if planned and not deployment.paused else "",
        "last": f"{ended[-1].state_name} {ended[-1].end_time:%Y-%m-%d %H:%M} UTC" if ended and ended[-1].end_time else "",
    }  # fmt: skip
