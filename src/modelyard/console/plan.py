"""What a run would do: which steps are done, which are not and why, with their memory and time."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.home import Home
from modelyard.recipes.request import CompareRequest
from modelyard.steps.memory import check_memory
from modelyard.steps.nodes import TRAIN, nodes, train_node, training_job
from modelyard.steps.preparation import build_requests, check_model, prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import checkpoint_of, waiting
from modelyard.steps.step import Node
from modelyard.training.config import TrainingConfig, num_epochs, steps_before
from modelyard.training.fitted import RESULT_FILE
from modelyard.training.slices import TrainSlice
from modelyard.training.trial import Cost, measure
from modelyard.training.unlabelled import GIVEN, training_splits

Row = dict[str, Any]
ORDERING_BYTES = 1.2e9
"""Of the process that evaluates and exports, without its images (measured)."""


def plan_rows(request: CompareRequest, home: Home) -> list[Row]:
    """One row for each architecture and step, in running order. Raises what the run would raise."""
    first = next(iter(request.recipes.values()))
    prepared = prepare(
        request.dataset, home, first.data, skip_unreadable=request.skip_unreadable, name=request.name
    )
    builds = build_requests(request, prepared, home)
    for build in builds:
        check_model(build, home)
    untrained = [build for build in builds if any(node.step.is_exclusive for node in _to_do(build, home))]
    jobs = [training_job(build, home, home.checkpoints / "trial") for build in untrained]
    costs = dict(zip([build.label for build in untrained], measure(jobs) if jobs else [], strict=True))
    for build in untrained:
        check_memory(build, home, costs[build.label])
    return [row for build in builds for row in _rows_of_one(build, home, costs.get(build.label))]


def _to_do(build: BuildRequest, home: Home) -> list[Node]:
    return waiting(nodes(build), home)


def _rows_of_one(build: BuildRequest, home: Home, cost: Cost | None) -> list[Row]:
    rows, to_do = [], {node.name for node in _to_do(build, home)}
    for node in nodes(build):
        if not node.step.body:
            continue
        is_done = node.name not in to_do
        row = {
            "model": build.dataset,
            "architecture": build.label,
            "step": node.step.name,
            "state": "done" if is_done else "to do",
            "why": _why_done(node, home) if is_done else _why_missing(node, home),
        }
        taken = {"memory": None, "seconds": None} if is_done else _cost_of(node, build, home, cost)
        rows.append(row | taken | {"folder": node.name})
    return rows


def _why_done(node: Node, home: Home) -> str:
    is_there = node.folder(home).exists()
    return "same data, recipe and code" if is_there else "what is made from it is there"


def _why_missing(node: Node, home: Home) -> str:
    if not node.step.is_exclusive:
        return "not made yet for this training"
    is_begun = checkpoint_of(node, home).exists()
    return "goes on from its checkpoint, the whole takes" if is_begun else "not trained yet"


def _cost_of(node: Node, build: BuildRequest, home: Home, cost: Cost | None) -> Row:
    """MB that the process of a step holds at most, and the seconds of a training; None where nobody knows."""
    is_training = node.step.is_exclusive
    memory = cost and (cost.memory if is_training else ORDERING_BYTES + cost.evaluation)
    seconds = _estimated(node, build, home, cost) if is_training else None
    return {"memory": memory and round(memory / 1e6), "seconds": seconds and round(seconds, 1)}


def _estimated(node: Node, build: BuildRequest, home: Home, cost: Cost | None) -> float | None:
    """Seconds, from the last such step of an equal model on this machine; else from what steps of the
    training took that comes last.
    """
    dataset = open_packed(home.steps / build.data_step, verify=False)
    now, last = (_steps(dataset, some, home) for some in (node, train_node(build)))
    wanted = {"model": build.recipe.model.model_dump(mode="json"), **dataset.form.record}
    results = home.steps.glob(f"{node.step.name}-*/{RESULT_FILE}")
    for result in sorted(results, key=_modified, reverse=True):
        with suppress(OSError, ValueError, LookupError, TypeError):  # an earlier version's, or damaged
            record = json.loads(result.read_text())
            before = TrainingConfig(**record["training"])
            is_alike = type(before.unlabelled) is type(build.recipe.training.unlabelled)
            if wanted.items() <= record.items() and (is_alike or node.step is not TRAIN):
                steps = steps_before(before, record["train_images"], len(record["history"]))
                return float(record["seconds"] / steps * now)
    return cost.seconds / last * now if cost else None


def _steps(dataset: Dataset, node: Node, home: Home) -> int:
    slice, given = node.slice, {parent.step.name: parent.folder(home) for parent in node.parents}
    assert isinstance(slice, TrainSlice)
    samples = len(training_splits(dataset, slice, given.get(GIVEN)).train)
    samples = min(samples, slice.training.max_train_images or samples)
    return steps_before(slice.training, samples, num_epochs(slice.training, samples))


def _modified(path: Path) -> float:
    return path.stat().st_mtime
