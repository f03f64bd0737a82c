"""One task for each verb of the library. The step folders are the truth; Prefect keeps the history."""

from __future__ import annotations

from typing import Any

from prefect import task

from modelyard import steps
from modelyard.bundle import open_bundle
from modelyard.home import Home
from modelyard.steps import BuildRequest
from modelyard.tracking import promotion, registry, runs
from modelyard.training.loop import EpochReport


@task(task_run_name="prepare {dataset}", retries=1, retry_delay_seconds=1)
def prepare(dataset: str, skip_unreadable: bool) -> dict[str, str]:
    return steps.prepare(dataset, Home.current(), skip_unreadable=skip_unreadable)


@task
def start_run(request: BuildRequest) -> str:
    tags = {
        "modelyard.dataset": request.dataset,
        "modelyard.data_digest": request.data_digest,
        "architecture": request.recipe.model.architecture,
        "label": request.label,
    }
    params = request.recipe.flatten() | {"architecture": request.label, "dataset": request.dataset, "seed": request.seed}
    name = f"{request.dataset}-{request.label}-{request.seed}"
    return runs.start_run(Home.current(), request.export_key, name=name, params=params, tags=tags)


@task
def train(request: BuildRequest, run_id: str, on_epoch: Any) -> str:
    def report(epoch: EpochReport) -> None:
        runs.log_epoch(Home.current(), run_id, epoch)
        on_epoch(request, epoch)

    return steps.run_training(request, Home.current(), report).name


@task
def evaluate(request: BuildRequest) -> str:
    return steps.evaluate(request, Home.current()).name


@task
def export(request: BuildRequest) -> str:
    return steps.export(request, Home.current()).name


@task
def register(request: BuildRequest, run_id: str) -> int:
    home = Home.current()
    metrics = open_bundle(request.bundle_folder(home)).metrics
    runs.finish_run(home, run_id, metrics, request.evaluation_folder(home))
    tags = {
        "label": request.label,
        "data_digest": request.data_digest,
        "evaluation": request.evaluation_folder(home).name,
        "validation_accuracy": repr(metrics["validation/accuracy"]),
        "validation_nll": repr(metrics["validation/nll"]),
    }
    return registry.register(home, run_id, request.bundle_folder(home), tags).number


@task
def promote(model: str, numbers: list[int]) -> promotion.Verdict:
    home = Home.current()
    return promotion.promote(home, [version for version in registry.versions(home, model) if version.number in numbers])
