"""What the finished builds of a comparison say of its baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from modelyard.bundle import open_bundle
from modelyard.evaluation.baseline import Correct, advice, taught
from modelyard.evaluation.files import TEST_FILE
from modelyard.home import Home
from modelyard.recipes.named import ALONE
from modelyard.steps.nodes import evaluate_node, export_node
from modelyard.steps.requests import BuildRequest


def advice_of(builds: Sequence[BuildRequest], home: Home) -> str:
    """A line for people; empty where there is no baseline, or nothing beside it."""
    correct = {build.label: _correct(evaluate_node(build).folder(home)) for build in builds}
    lines = [_taught(build, correct, home) for build in builds if build.recipe.distil is not None]
    return "; ".join(filter(None, [*lines, _beside_baseline(builds, correct, home)]))


def _taught(build: BuildRequest, correct: Mapping[str, Correct], home: Home) -> str:
    """What a teacher was worth; empty where nobody was trained alone."""
    alone_N = correct.get(build.label + ALONE)
    if alone_N is None:
        return ""
    metrics = open_bundle(export_node(build).folder(home)).metrics
    teacher, agreement = (metrics[f"test/teacher_{name}"] for name in ("accuracy", "agreement"))
    return taught(build.label, correct[build.label], alone_N, teacher, agreement)


def _beside_baseline(builds: Sequence[BuildRequest], correct: Mapping[str, Correct], home: Home) -> str:
    baselines = [build for build in builds if build.recipe.model.is_baseline]
    others = {build.label: correct[build.label] for build in builds if build not in baselines}
    if not baselines or not others:
        return ""
    names = open_bundle(export_node(baselines[0]).folder(home)).signature.names
    return advice(baselines[0].label, correct[baselines[0].label], others, names.many)


def _correct(evaluation: Path) -> Correct:
    with np.load(evaluation / TEST_FILE, allow_pickle=False) as kept:
        correct_N: Correct = kept["correct"]
    return correct_N
