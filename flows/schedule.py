"""Schedules: deployments of `refresh` in a work pool, each with a cron line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import actions
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectAlreadyExists
from prefect.types.names import WITHOUT_BANNED_CHARACTERS
from pydantic import Field

from flows.guard import VARIABLES, wrong_parameters
from flows.refresh import ENTRYPOINT, refresh
from flows.times import next_dates, parse_cron, zone_of
from modelyard.config import Config
from modelyard.errors import ConfigError
from modelyard.machine.store_mark import StoreMark
from modelyard.operations.work_pool import POOL
from modelyard.recipes.words import Words
from modelyard.terminal.printable import listed

NAME = re.compile(WITHOUT_BANNED_CHARACTERS)
LONGEST_NAME = 200


class NewSchedule(Config):
    """What `modelyard schedule add` or `change` is told; of a change what is empty stays as it is."""

    name: str
    cron: str = ""
    timezone: str = ""
    request: Words
    pool: str = POOL
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables of its runs, such as where the data are."""
    store: StoreMark | None = None
    """In which alone they work; None where the server is not this store's."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the flow `refresh`."""
        return self.model_dump(mode="json", include={"request", "store"}, exclude_none=True)


def check_names(*names: str) -> None:
    """Raises: ConfigError for what Prefect, or a line of a terminal, takes as no deployment's or work pool's
    name.
    """
    for name in names:
        if (
            not NAME.fullmatch(name)
            or not name.strip()
            or not name.isprintable()
            or name[0] == "-"
            or len(name) > LONGEST_NAME
        ):
            expected = f"expected a line of at most {LONGEST_NAME} characters, none of / % & > <, no - first"
            raise ConfigError(
                f"{name[:LONGEST_NAME]!r} cannot be a schedule's or a pool's name: {expected}; choose another"
            )


def add(new: NewSchedule) -> None:
    """Raises: ConfigError when the name is taken."""
    schedule = parse_cron(new.cron, new.timezone)
    with get_client(sync_client=True) as client:
        if any(known.name == new.name for known in deployments(client)):
            change = f"modelyard schedule change {shlex.quote(new.name)}"
            raise ConfigError(
                f"schedule {new.name!r} exists; choose another --name, or change it and keep its "
                f"history: {change}"
            )
        ensure_pool(client, new.pool)
        client.create_deployment(
            flow_id=client.create_flow(refresh),
            name=new.name,
            entrypoint=ENTRYPOINT,
            work_pool_name=new.pool,
            parameters=new.parameters,
            tags=["modelyard"],
            schedules=[actions.DeploymentScheduleCreate(schedule=schedule, active=True)],
            job_variables={"env": new.environment} if new.environment else {},
            enforce_parameter_schema=False,
        )


def ensure_pool(client: SyncPrefectClient, name: str) -> None:
    """A pool for processes of this machine, where there is none of that name."""
    with suppress(ObjectAlreadyExists):
        client.create_work_pool(actions.WorkPoolCreate(name=name, type="process"))


def changed(name: str, told: Mapping[str, Any], labels: int | None = None) -> NewSchedule:
    """It as it is, with other words where they are told. Raises: ConfigError."""
    with get_client(sync_client=True) as client:
        found = find(client, name)
    request = found.parameters.get("request")
    words = {**request, **told} if isinstance(request, dict) else told
    words = {key: words[key] for key in Words.model_fields if key in words}
    if wrong := wrong_parameters({"request": words}):
        raise ConfigError(f"the words of {name!r} were edited in Prefect ({wrong:.200}); tell these anew")
    known = Words.model_validate(words)
    if labels is not None:
        kept = [word for word in known.assignments if not word.startswith("data.labels=")]
        known = known.model_copy(update={"assignments": (*kept, f"data.labels={labels}")})
    return NewSchedule(name=name, request=known, pool=found.work_pool_name or POOL)


def change(new: NewSchedule) -> None:
    """Other words, times or another pool; its id stays, and so do its past runs. Raises: ConfigError."""
    check_names(new.pool)
    with get_client(sync_client=True) as client:
        deployment = find(client, new.name)
        bound = {key: store for key, store in deployment.parameters.items() if key == "store"}
        changes: dict[str, Any] = {"parameters": bound | new.parameters}
        if new.cron or new.timezone:
            changes["schedules"] = [_other_time(deployment, new)]
        if has_moved := new.pool != deployment.work_pool_name:
            ensure_pool(client, new.pool)
            changes["work_pool_name"] = new.pool
        if has_moved or new.environment:  # of what was edited only what a schedule has stays
            env = {} if has_moved else deployment.job_variables.get("env")
            kept = (
                {key: value for key, value in env.items() if key in VARIABLES}
                if isinstance(env, dict)
                else {}
            )
            changes["job_variables"] = {"env": kept | new.environment}
        client.update_deployment(deployment.id, actions.DeploymentUpdate(**changes))


def _other_time(deployment: DeploymentResponse, new: NewSchedule) -> actions.DeploymentScheduleUpdate:
    if len(deployment.schedules) > 1:
        raise ConfigError(
            f"{new.name!r} has {len(deployment.schedules)} schedules; change their times in Prefect's page"
        )
    for one in deployment.schedules:
        cron = parse_cron(new.cron or "@daily", new.timezone or zone_of(one.schedule).key)
        moved = cron if new.cron else one.schedule.model_copy(update={"timezone": cron.timezone})
        return actions.DeploymentScheduleUpdate(schedule=moved, active=one.active)
    return actions.DeploymentScheduleUpdate(schedule=parse_cron(new.cron, new.timezone or "UTC"), active=True)


def pause(name: str) -> None:
    """Plan no more runs; those at work go on. Raises: ConfigError."""
    with get_client(sync_client=True) as client:
        client.pause_deployment(find(client, name).id)


def resume(name: str) -> str:
    """Plan all of its runs again; gives what goes on. Its pool does, too, where that is our own. Raises:
    ConfigError.
    """
    with get_client(sync_client=True) as client:
        deployment = find(client, name)
        for one in deployment.schedules:  # one that is never due would keep Prefect from planning the others
            if one.active != (can := next_dates(one.schedule) is not None):
                client.update_deployment_schedule(deployment.id, one.id, active=can)
        client.resume_deployment(deployment.id)
        if deployment.work_pool_name != POOL or deployment.work_queue_id is None:
            return name
        was_paused = client.read_work_pool(POOL).is_paused
        client.update_work_pool(POOL, actions.WorkPoolUpdate(is_paused=False))
        client.update_work_queue(deployment.work_queue_id, is_paused=False)
    return f"{name}, and the work pool {POOL} with every schedule in it" if was_paused else name


def remove(name: str) -> None:
    """Forget the schedule; its past runs stay. Raises: ConfigError."""
    with get_client(sync_client=True) as client:
        client.delete_deployment(find(client, name).id)


def run_now(name: str) -> str:
    """One more run, as soon as a worker is free; gives its name. Raises: ConfigError."""
    with get_client(sync_client=True) as client:
        return str(client.create_flow_run_from_deployment(find(client, name).id).name)


def deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """Those of this project, by name."""
    found = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[refresh.name])))
    ours = [
        deployment
        for deployment in found
        if "modelyard" in deployment.tags or deployment.entrypoint == ENTRYPOINT
    ]
    return sorted(ours, key=lambda deployment: deployment.name)


def find(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    """Raises: ConfigError."""
    known = {deployment.name: deployment for deployment in deployments(client)}
    if name not in known:
        raise ConfigError(
            f"unknown schedule {name!r}: " + (f"expected {listed(known)}" if known else "there is none yet")
        )
    return known[name]
