"""Accuracy and cost of one training of the product, as `modelyard run` makes it, without records."""

from __future__ import annotations

import json
import resource
from dataclasses import dataclass
from pathlib import Path

from modelyard.evaluation.files import EVALUATION_FILE
from modelyard.home import Home
from modelyard.recipes.named import named
from modelyard.recipes.request import CompareRequest
from modelyard.recipes.words import Words
from modelyard.steps.nodes import evaluate_node, export_node, how_of, nodes, train_node
from modelyard.steps.preparation import build_requests, prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import run_step
from modelyard.training.fitted import read_training


@dataclass(frozen=True, slots=True)
class Measured:
    """What one training came to."""

    test: float
    """Accuracy in percent."""
    validation: float
    cpu_seconds: float
    """Of its own process and what it was made from: pre-training, a teacher's answers; not the teacher."""
    parameters: int
    more: dict[str, float]
    """What the objective told of the last epoch."""


def builds(words: Words, home: Home) -> list[BuildRequest]:
    """One for each recipe of the words, on data that are prepared now."""
    recipes = named(words)
    prepared = prepare(words.dataset, home, next(iter(recipes.values())).data)
    return build_requests(CompareRequest.of(words, recipes), prepared, home)


def measured(build: BuildRequest, home: Home) -> Measured:
    """Train and evaluate."""
    before = cpu_seconds()
    for node in nodes(build)[:-1]:
        if node.step.body:
            run_step(node, how_of(build, home))
    spent = cpu_seconds() - before
    metrics = json.loads((evaluate_node(build).folder(home) / EVALUATION_FILE).read_text())["metrics"]
    told = read_training(train_node(build).folder(home))
    history = told["history"]
    return Measured(
        100 * metrics["test/accuracy"], 100 * metrics["validation/accuracy"], spent,
        told["size"]["parameters"],
        (history[-1]["more"] if history else {})
        | {name: value for name, value in metrics.items() if "teacher" in name},
    )  # fmt: skip


def bundle_of(build: BuildRequest, home: Home) -> Path:
    """Train, evaluate and export: a bundle, which may teach."""
    for node in nodes(build):
        if node.step.body:
            run_step(node, how_of(build, home))
    return export_node(build).folder(home)


def cpu_seconds() -> float:
    """Of this process and its children."""
    kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))
