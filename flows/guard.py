"""What the worker of `modelyard up` starts: the flow `refresh` as `modelyard schedule add` plans it, and nothing else.

A deployment can say what command runs, where, with what variables and what is pulled before; whoever writes one would run
commands as the owner. So each start is read anew and checked, and what runs is put together here, not from what was read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
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

from flows.refresh import ENTRYPOINT, RefreshRequest, refresh
from modelyard.alerts import alert
from modelyard.home import Home
from modelyard.own_modules import ONLY_RECORDED

VARIABLES = ("MODELYARD_CACHE", "MODELYARD_DATA", "MODELYARD_HOME")
"""What `modelyard schedule add` writes into a deployment."""
AGAIN = "remove the schedule and add it again (modelyard schedule), or send it to a pool of your own with --pool"


def why_refused(run: FlowRun, deployment: DeploymentResponse | None, pool: WorkPool, home: Home) -> str:
    """Why the worker does not start this, with the remedy; empty where it does."""
    if deployment is None:
        return "it belongs to no schedule; start it with: modelyard schedule run"
    if deployment.pull_steps:
        return "its deployment has pull steps, which run commands; set `pull: []` in prefect.yaml and deploy it again"
    if _settings(pool.base_job_template) != _settings(ProcessWorker.get_default_base_job_template()):
        return f"the job template of the pool {pool.name} was changed; give it back its default, or use another pool (--pool)"
    problems = [*_in_place(run, deployment), *_in_variables(run, deployment, home), *_in_parameters(run)]
    return f"{problems[0]}; {AGAIN}" if problems else ""


def _in_place(run: FlowRun, deployment: DeploymentResponse) -> Iterator[str]:
    if deployment.entrypoint != ENTRYPOINT:
        yield f"its entry point is {deployment.entrypoint!r:.200}, expected {ENTRYPOINT}"
    if deployment.path or deployment.storage_document_id:
        yield "its deployment names a path or a storage block"
    if deployment.infrastructure_document_id or run.infrastructure_document_id:
        yield "it names an infrastructure block"


def _in_variables(run: FlowRun, deployment: DeploymentResponse, home: Home) -> Iterator[str]:
    for told in (deployment.job_variables or {}, run.job_variables or {}):
        if other := sorted(set(told) - {"env"}):
            yield f"it sets the job variable {other[0]!r:.200}, expected none but env"
        elif not isinstance(env := told.get("env") or {}, dict):
            yield "its job variable env is no mapping"
        elif other := sorted(set(env) - set(VARIABLES)):
            yield f"it sets the environment variable {other[0]!r:.200}, expected none but {', '.join(VARIABLES)}"
        elif any(not isinstance(value, str) or not Path(value).is_absolute() or "\0" in value for value in env.values()):
            yield f"its {', '.join(VARIABLES)} must be absolute paths"
        elif Path(env.get("MODELYARD_HOME", home.root)).resolve() != home.root:
            yield f"its MODELYARD_HOME is not the store of this worker, {home.root}"


def _in_parameters(run: FlowRun) -> Iterator[str]:
    if set(run.parameters) != {"request"}:
        yield f"its parameters are {sorted(run.parameters)!r:.200}, expected request"
        return
    try:
        RefreshRequest.model_validate(run.parameters["request"])
    except ValidationError as error:
        first = error.errors()[0]
        yield f"its request cannot be read ({'.'.join(map(str, first['loc']))}: {first['msg']})"[:300]


def _settings(template: dict[str, Any]) -> Any:
    """What a pool's template sets, without its descriptions; none is the default."""
    if not template:
        return _settings(ProcessWorker.get_default_base_job_template())
    variables = template.get("variables", {}).get("properties", {})
    return template.get("job_configuration"), {name: variable.get("default") for name, variable in variables.items()}


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
            for told in (found.job_variables, run.job_variables):
                start.env |= (told or {}).get("env") or {}
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
        self, flow_run: FlowRun, configuration: ProcessJobConfiguration, task_status: anyio.abc.TaskStatus[int] | None = None
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
                    entrypoint=ENTRYPOINT, cwd=folder, env=configuration.env, control_channel=context.control_channel,
                    isolate_process_group=True, env_overrides_settings=True,
                )  # fmt: skip
                executor = context.create_executor(flow_run, starter, resolve_flow=_own_flow, propose_submitting=False)

                async def execute(*, task_status: anyio.abc.TaskStatus[ProcessHandle]) -> None:
                    results.append(await executor.submit(task_status=task_status))

                async with anyio.create_task_group() as group:
                    told.started((await group.start(execute)).pid)
        (result,) = results
        if result is None or result.status_code is None:
            raise RuntimeError("the process of the flow run did not start")
        return ProcessWorkerResult(status_code=result.status_code, identifier=str(result.handle.pid))

    async def _refuse(self, flow_run: FlowRun, why: str, told: anyio.abc.TaskStatus[int]) -> ProcessWorkerResult:
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
