"""Tasks: one runs any step, the others are operations. What is done is told by step folders, not Prefect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from filelock import FileLock
from prefect import task
from prefect.runtime import flow_run

from modelyard.bundle import open_bundle
from modelyard.errors import ModelyardError, TrainingKilledError
from modelyard.home import Home
from modelyard.progress import EpochReport, current_progress
from modelyard.promotion import automatic
from modelyard.recipes.recipe import Recipe
from modelyard.registry import aliases
from modelyard.registry import versions as registry
from modelyard.registry.vouching import restore_names
from modelyard.steps import preparation
from modelyard.steps.memory import check_memory
from modelyard.steps.nodes import evaluate_node, export_node, how_of, nodes
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import run_step as do_step
from modelyard.steps.run import waiting
from modelyard.steps.step import Node
from modelyard.tracking import runs
from modelyard.training.fitted import RESULT_FILE, read_history


def _is_passing(_task: Any, _run: Any, state: Any) -> bool:
    """A busy database is worth a second try, a wrong input is not."""
    return not isinstance(state.result(raise_on_failure=False), ModelyardError)


@task(task_run_name="prepare {dataset}")
def prepare(dataset: str, recipe: Recipe, skip_unreadable: bool, name: str = "") -> dict[str, str]:
    return preparation.prepare(
        dataset, Home.current(), recipe.data, skip_unreadable=skip_unreadable, name=name, claim=True
    )


@task(task_run_name="check {request.label}")
def check_model(request: BuildRequest) -> None:
    preparation.check_model(request, Home.current())
    check_memory(request, Home.current())


@task(task_run_name="start {request.label}")
def start_run(request: BuildRequest) -> str:
    tags = {
        "modelyard.dataset": request.dataset,
        "modelyard.data_digest": request.data_digest,
        "modelyard.dataset_requested": request.dataset_requested,
        "architecture": request.recipe.model.architecture,
        "label": request.label,
        "prefect.flow_run": str(flow_run.id or ""),
        runs.STEPS_TAG: " ".join(node.name for node in nodes(request)),
    }
    params = request.recipe.made_flat() | {
        "architecture": request.label,
        "dataset": request.dataset,
        "seed": request.seed,
    }
    tags |= runs.source_tags()
    name = f"{request.dataset}-{request.label}-{request.seed}"
    return runs.start_run(Home.current(), export_node(request).key, name=name, params=params, tags=tags)


def _was_killed(_task: Any, _run: Any, state: Any) -> bool:
    """It goes on from its last checkpoint; what killed it (memory, a person) may be over."""
    return isinstance(state.result(raise_on_failure=False), TrainingKilledError)


@task(
    task_run_name="{node.step.name} {request.label}",
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=_was_killed,
)
def run_step(node: Node, request: BuildRequest, run_id: str) -> str:
    home = Home.current()

    def report(epoch: EpochReport) -> None:
        runs.log_epochs(home, run_id, [epoch], node.step.name)
        current_progress.get().epoch(request.label, epoch, node.step.accuracy)

    is_waiting = node in waiting(nodes(request), home)
    current_progress.get().step(request.label, node.step.title, done=not is_waiting)
    if is_waiting:
        do_step(node, how_of(request, home, report))
    if (node.folder(home) / RESULT_FILE).is_file():  # epochs that a killed run did not tell
        runs.log_epochs(home, run_id, read_history(node.folder(home)), node.step.name)
    return node.name


@task(
    task_run_name="register {request.label}", retries=2, retry_delay_seconds=1, retry_condition_fn=_is_passing
)
def register(request: BuildRequest, run_id: str) -> int:
    home, bundle = Home.current(), export_node(request).folder(Home.current())
    with FileLock(home.locks / f"{bundle.name}.lock"):  # two equal commands at once make one version
        restore_names(home)
        version = registry.find_registered(home, bundle)
        current_progress.get().step(request.label, "registration", done=version is not None)
        if version is None:
            version = _new_version(request, run_id, bundle)
        elif not runs.is_finished(
            home, run_id
        ):  # its last attempt failed after the registration, or its former run was deleted
            runs.finish_run(home, run_id, open_bundle(bundle).metrics, evaluate_node(request).folder(home))
        registry.publish(home, version, bundle)
        aliases.record(home, version)
    return version.number


def _new_version(request: BuildRequest, run_id: str, bundle: Path) -> registry.Version:
    home, metrics = Home.current(), open_bundle(bundle).metrics
    tags = {
        "label": request.label,
        "data_digest": request.data_digest,
        "evaluation": evaluate_node(request).folder(home).name,
        "validation_accuracy": repr(metrics["validation/accuracy"]),
        "validation_nll": repr(metrics["validation/nll"]),
    }
    model_id = registry.log_bundle(home, run_id, bundle)
    runs.finish_run(home, run_id, metrics, evaluate_node(request).folder(home), model_id)
    return registry.register(home, run_id, bundle, model_id, tags)


@task(task_run_name="promote {first.dataset}")
def promote(first: BuildRequest, numbers: list[int]) -> automatic.Verdict:
    home = Home.current()
    candidates = [version for version in registry.versions(home, first.dataset) if version.number in numbers]
    return automatic.promote(home, candidates, home.steps / first.data_step, first.recipe.gates)
