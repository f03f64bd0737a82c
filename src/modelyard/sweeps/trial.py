"""One training of a sweep, recorded as the trainings of a comparison are; runs in a worker's process."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from modelyard.errors import ModelyardError
from modelyard.evaluation.files import EVALUATION_FILE
from modelyard.home import Home
from modelyard.machine.how import OnEpoch
from modelyard.progress import EpochReport
from modelyard.steps.brought import Brought
from modelyard.steps.nodes import evaluate_node, how_of, train_node, training_nodes
from modelyard.steps.preparation import with_first_weights
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import run_step
from modelyard.sweeps.request import SweepRequest
from modelyard.sweeps.search import open_study, suggest
from modelyard.sweeps.summary import TrialResult
from modelyard.tracking import runs
from modelyard.training.fitted import read_history
from modelyard.training.job import SPINS
from modelyard.training.state import kept_epoch


class GivenUpError(Exception):
    """The pruner sees no point in going on."""


def prepare_worker(parent_ends: int) -> None:
    """First thing in a worker: end with the sweep, and leave the other workers their cores."""
    from modelyard.machine.bound import bind_to_parent

    bind_to_parent(parent_ends)
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def train_one(
    build: BuildRequest, sweep: str, assignments: tuple[str, ...], on_epoch: OnEpoch
) -> TrialResult:
    """Train and record; what was done before is only looked up. Raises: ModelyardError, of which the run
    tells.
    """
    home = Home.current()
    tags = {
        "modelyard.dataset": build.dataset,
        "modelyard.data_digest": build.data_digest,
        "label": build.label,
        "architecture": build.recipe.model.architecture,
        "sweep": sweep,
        "pipeline_run": f"sweep {sweep}",
    }
    params = build.recipe.made_flat() | {
        "architecture": build.label,
        "dataset": build.dataset,
        "seed": build.seed,
    }
    name = f"{sweep}-{build.label}-{build.seed}"
    run_id = runs.start_run(
        home, f"sweep-{sweep}-{train_node(build).key}", name=name, params=params, tags=tags
    )
    seen: list[EpochReport] = []

    def heard(epoch: EpochReport) -> None:
        seen.append(epoch)
        on_epoch(epoch)

    try:
        *before, train = training_nodes(build)
        for node in before:
            if node.step.body:
                run_step(node, how_of(build, home))
        folder = run_step(train, how_of(build, home, heard))
    except GivenUpError as given_up:
        runs.log_epochs(home, run_id, seen)
        runs.finish_trial(home, run_id, _metrics(seen), pruned=str(given_up))
        return TrialResult(build.label, build.seed, assignments, "pruned", run_id=run_id, why=str(given_up))
    except ModelyardError as error:
        runs.fail_run(home, run_id, str(error))
        raise
    return _recorded(build, run_id, assignments, folder)


def _recorded(build: BuildRequest, run_id: str, assignments: tuple[str, ...], folder: Path) -> TrialResult:
    history = read_history(folder)
    best = kept_epoch(history)
    runs.log_epochs(Home.current(), run_id, history)
    runs.finish_trial(Home.current(), run_id, _metrics(history))
    seconds = sum(epoch.seconds for epoch in history)
    return TrialResult(
        build.label,
        build.seed,
        assignments,
        "finished",
        best.validation_accuracy,
        best.validation_loss,
        seconds=seconds,
        run_id=run_id,
    )


def evaluated(result: TrialResult, build: BuildRequest) -> TrialResult:
    """With its accuracy on test, for those who ask what labels are worth."""
    home = Home.current()
    folder = run_step(evaluate_node(build), how_of(build, home))
    metrics = json.loads((folder / EVALUATION_FILE).read_text())["metrics"]
    return replace(result, test_accuracy=metrics["test/accuracy"])


def _metrics(history: list[EpochReport]) -> dict[str, float]:
    best = kept_epoch(history)
    seconds = sum(epoch.seconds for epoch in history)
    return {
        "validation/accuracy": best.validation_accuracy,
        "validation/nll": best.validation_loss,
        "train/seconds": seconds,
    }


def search_one(build: BuildRequest, sweep: SweepRequest, number: int) -> list[TrialResult]:
    """One configuration that Optuna proposes, with every seed; given up when its first seed falls behind."""
    from optuna.trial import TrialState

    home, results = Home.current(), list[TrialResult]()
    study = open_study(home.sweeps / sweep.name, build.label, sweep.seeds[0] + number)
    trial = study.ask()
    assignments = tuple(suggest(trial, sweep.ranges))
    recipe = sweep.recipes(assignments)[build.label]
    brought, data = Brought(home), home.steps / build.data_step

    def ask_whether_to_go_on(epoch: EpochReport) -> None:
        trial.report(epoch.validation_accuracy, epoch.epoch)
        if trial.should_prune():
            raise GivenUpError(
                f"given up after epoch {epoch.epoch} with {epoch.validation_accuracy:.2%}: below the median"
            )

    for seed in sweep.seeds:
        listen: OnEpoch = ask_whether_to_go_on if seed == sweep.seeds[0] else _silent
        try:
            # weights are matched with the options of a network, and these are others
            given = {"recipe": with_first_weights(recipe, data), "brought": brought.of(recipe, data)}
            wanted = build.model_copy(update={**given, "seed": seed})
            results.append(train_one(wanted, sweep.name, assignments, listen))
        except ModelyardError as error:
            study.tell(trial, state=TrialState.FAIL)
            return [*results, TrialResult(build.label, seed, assignments, "failed", why=str(error))]
        if results[-1].state == "pruned":
            study.tell(trial, state=TrialState.PRUNED)
            return results
    study.tell(trial, sum(result.validation_accuracy for result in results) / len(results))
    return results


def _silent(_epoch: EpochReport) -> None:
    return
