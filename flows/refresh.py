"""Flow `refresh`: what a schedule runs. It looks first, and trains only when data, recipe or code changed."""

from __future__ import annotations

import logging
import os
import signal
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from prefect import flow, tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from flows.hooks import tell_crash, tell_failure
from flows.reconciliation import claim
from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.machine.bound import bind_to_parent
from modelyard.machine.identity import own_identity
from modelyard.machine.leases import in_use
from modelyard.machine.store_mark import StoreMark
from modelyard.recipes.words import Words

if TYPE_CHECKING:
    from modelyard.steps.requests import BuildRequest


ENTRYPOINT = "flows.refresh.refresh"
"""By module, so that it is found wherever the package is installed."""


@flow(flow_run_name="refresh {request.dataset}", on_failure=[tell_failure], on_crashed=[tell_crash])
def refresh(request: Words, store: StoreMark | None = None) -> dict[str, Any] | State[Any]:
    """What `compare` gives; or a state that says why nothing was to be done. `store`: in which alone it
    works.
    """
    if store is not None:
        store.require()
    run = _take_over()
    lock = FileLock(
        make_folder(Home.current().locks) / f"schedule-{run.deployment_id if run else os.getpid()}.lock"
    )
    try:
        with lock.acquire(timeout=0), tags(own_identity(Home.current())):
            return _refresh(request)
    except Timeout:
        return Cancelled(message="an earlier run of this schedule is still at work")


def _refresh(request: Words) -> dict[str, Any] | State[Any]:
    from flows.compare import compare, prepared_builds
    from flows.freshness import examine_data
    from modelyard.mirror.background import mirrored
    from modelyard.recipes.request import compare_request
    from modelyard.tracking.reconcile import reconcile

    wanted = compare_request(request)
    with in_use(Home.current()):
        builds = prepared_builds(wanted)
        if unchanged := _unchanged(builds):
            return Completed(message=unchanged, name="Unchanged")
        examine_data(builds[0])
    home, told = Home.current(), logging.getLogger("modelyard")
    for done in reconcile(home):
        told.warning(done)
    with mirrored(home, told.warning):
        return compare(wanted)


def _unchanged(builds: list[BuildRequest]) -> str:
    """Which versions hold this very work; empty when any has to be made."""
    from modelyard.registry import versions as registry
    from modelyard.steps.nodes import export_node
    from modelyard.steps.run import is_done

    home = Home.current()
    known = {version.tags.get("bundle"): version for version in registry.versions(home, builds[0].dataset)}
    bundles = [export_node(build) for build in builds]
    if not all(is_done(bundle, home) and bundle.name in known for bundle in bundles):
        return ""
    numbers = ", ".join(str(known[bundle.name].number) for bundle in bundles)
    made = datetime.fromtimestamp(max(bundle.folder(home).stat().st_mtime for bundle in bundles), UTC)
    return f"data, recipe and code are those of version {numbers} of {made:%Y-%m-%d %H:%M} UTC"


def _take_over() -> FlowRun | None:
    """Say which process this is, end with the worker, and stand for the runs that were missed meanwhile."""
    if flow_run.id is None:
        return None
    with get_client(sync_client=True) as client:
        run: FlowRun = client.read_flow_run(flow_run.id)
        if run.deployment_id is None:
            return None
        bind_to_parent(signal.SIGKILL)
        claim(client, run, own_identity(Home.current()))
        _cover_missed(client, run)
        return run


def _cover_missed(client: SyncPrefectClient, run: FlowRun) -> None:
    """One late run covers the gap: the others that were due by now are not made up for."""
    planned = {
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "expected_start_time": {"before_": datetime.now(UTC)},
    }
    due, same = (
        FlowRunFilter.model_validate(planned),
        DeploymentFilter.model_validate({"id": {"any_": [run.deployment_id]}}),
    )
    for missed in client.read_flow_runs(flow_run_filter=due, deployment_filter=same):
        if missed.id != run.id:
            client.set_flow_run_state(
                missed.id, Cancelled(message=f"covered by the run {run.name}"), force=True
            )
