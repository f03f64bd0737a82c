"""What the worker of `modelyard up` starts: the flow `refresh` as `modelyard schedule add` plans it, and
nothing else.

A deployment can say what command runs, where, with what variables and what is pulled before; whoever writes
one would run commands as the owner. So each start is read anew and checked, and what runs is put together
here, not from what was read.
"""

from __future__ import annotations

import tempfile
from typing import Any, Self

import anyio
import anyio.abc
from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.states import Failed
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult
from pydantic import PrivateAttr, ValidationError

from flows.reconciliation import owned_tags
from flows.refresh import ENTRYPOINT, refresh
from modelyard.alerts.record import alert
from modelyard.home import Home
from modelyard.machine.identity import own_identity
from modelyard.machine.store_mark import StoreMark
from modelyard.models.own_modules import ONLY_RECORDED
from modelyard.recipes.words import Words

VARIABLES = {"MODELYARD_CACHE", "MODELYARD_DATA", "MODELYARD_HOME"}
"""What `modelyard schedule add` writes into a deployment."""


def why_refused(run: FlowRun, deployment: DeploymentResponse | None, pool: WorkPool, home: Home) -> str:
    """Why the worker does not start this, with the remedy; empty where it does."""
    if deployment is None:
        return "it belongs to no schedule; start it with: modelyard schedule run"
    if deployment.pull_steps:
        return (
            "its deployment has pull steps, which run commands; set `pull: []` in prefect.yaml "
            "and deploy it again"
        )
    if pool.base_job_template and _settings(pool.base_job_template) != _settings(
        GuardedWorker.get_default_base_job_template()
    ):
        return (
            f"the job template of the pool {pool.name} was changed; give it back its default, or "
            "use another pool (--pool)"
        )
    for what, found in _excess(run, deployment, home).items():
        if found:
            return (
                f"{what} ({found!s:.200}); add the schedule anew (modelyard schedule), or in a pool of "
                "your own (--pool)"
            )
    return ""


def _excess(run: FlowRun, deployment: DeploymentResponse, home: Home) -> dict[str, object]:
    """Each must be empty."""
    told = [deployment.job_variables or {}, run.job_variables or {}]
    env = [pair for variables in told for pair in _pairs(variables.get("env"))]
    infrastructure = deployment.infrastructure_document_id or run.infrastructure_document_id
    return {
        f"its entry point is not {ENTRYPOINT}": {deployment.entrypoint} - {ENTRYPOINT},
        "its deployment has a path": deployment.path,
        "it names a block": deployment.storage_document_id or infrastructure,
        "it sets job variables besides env": {name for variables in told for name in variables} - {"env"},
        f"it sets variables besides {', '.join(sorted(VARIABLES))}": {name for name, _ in env} - VARIABLES,
        "a path that it sets is not absolute": [value for _, value in env if not str(value).startswith("/")],
        "its MODELYARD_HOME is not this worker's store": [
            value for name, value in env if name == "MODELYARD_HOME" and value != str(home.root)
        ],
        "its parameters are not those of a schedule": wrong_parameters(run.parameters),
    }


def _pairs(env: object) -> list[tuple[str, object]]:
    return list(env.items()) if isinstance(env, dict) else [("env", env)] if env else []


def wrong_parameters(parameters: dict[str, Any]) -> str:
    """What is not of a schedule; empty where all is."""
    try:
        Words.model_validate(parameters.get("request"))
        if (store := parameters.get("store")) is not None:
            StoreMark.model_validate(store)
    except ValidationError as error:
        return "; ".join(
            f"{'.'.join(map(str, part['loc'])) or 'request'}: {part['msg']}" for part in error.errors()
        )
    return ", ".join(parameters.keys() - {"request", "store"})


def _settings(template: dict[str, Any]) -> Any:
    """What a pool's template sets, without its descriptions."""
    variables = template.get("variables", {}).get("properties", {})
    return template.get("job_configuration"), {
        name: variable.get("default") for name, variable in variables.items()
    }


class CheckedStart(ProcessJobConfiguration):
    """What a start needs of what the server says just before it."""

    _refusal: str = PrivateAttr(default="")

    @classmethod
    async def resolve_for_flow_run(
        cls, flow_run: FlowRun, *, client: PrefectClient, work_pool: WorkPool, **attribution: Any
    ) -> Self:
        """Prefect's worker asks for it before each start."""
        run = await client.read_flow_run(flow_run.id)
        found = await client.read_deployment(run.deployment_id) if run.deployment_id else None
        pool = await client.read_work_pool(work_pool.name)
        home, start = Home.current(), cls()
        start._refusal = why_refused(run, found, pool, home)
        if found is not None and not start._refusal:
            await client.update_flow_run(
                run.id, tags=owned_tags(run, own_identity(home))
            )  # until its own process says so
            for told in (found.job_variables, run.job_variables):
                start.env |= {name: str(value) for name, value in _pairs((told or {}).get("env"))}
        start.prepare_for_flow_run(run, found, None, pool, **attribution)
        start.env |= {"MODELYARD_HOME": str(home.root), ONLY_RECORDED: "1"}
        return start


class GuardedWorker(ProcessWorker):
    """Prefect's process worker, which runs one thing."""

    job_configuration = CheckedStart

    @classmethod
    def __dispatch_key__(cls) -> str:
        """Beside the worker that Prefect's own commands find for the type `process`."""
        return "modelyard"

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """The flow in a process of its own; or the run's end as Failed, with the reason."""
        assert isinstance(configuration, CheckedStart)
        told = task_status or anyio.TASK_STATUS_IGNORED
        if configuration._refusal:
            return await self._refuse(flow_run, configuration._refusal, told)
        results: list[FlowRunExecutionResult | None] = []
        with tempfile.TemporaryDirectory(suffix="prefect") as folder:
            async with FlowRunExecutorContext() as context:
                starter = EngineCommandStarter(
                    entrypoint=ENTRYPOINT,
                    cwd=folder,
                    env=configuration.env,
                    control_channel=context.control_channel,
                    isolate_process_group=True,
                    env_overrides_settings=True,
                )
                executor = context.create_executor(
                    flow_run, starter, resolve_flow=_own_flow, propose_submitting=False
                )

                async def execute(*, task_status: anyio.abc.TaskStatus[ProcessHandle]) -> None:
                    results.append(await executor.submit(task_status=task_status))

                async with anyio.create_task_group() as group:
                    told.started((await group.start(execute)).pid)
        (result,) = results
        if result is None or result.status_code is None:
            raise RuntimeError("the process of the flow run did not start")
        return ProcessWorkerResult(status_code=result.status_code, identifier=str(result.handle.pid))

    async def _refuse(
        self, flow_run: FlowRun, why: str, told: anyio.abc.TaskStatus[int]
    ) -> ProcessWorkerResult:
        message = f"not started: {why}"
        self.get_flow_run_logger(flow_run).error(message)
        await self.client.set_flow_run_state(flow_run.id, Failed(message=message), force=True)
        await anyio.to_thread.run_sync(
            alert, Home.current(), "failure", f"{flow_run.name}: {message}", {"run id": str(flow_run.id)}
        )
        told.started(0)
        return ProcessWorkerResult(status_code=0, identifier="refused")


async def _own_flow(_run: FlowRun) -> Flow[..., Any]:
    """Whose hooks tell of a crash."""
    return refresh
