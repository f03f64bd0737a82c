"""Which version leads: better on validation, and not significantly worse on the same test images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.evaluation.significance import mcnemar_p_value
from modelyard.home import Home
from modelyard.tracking.registry import Version, move_alias, versions

SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promotion decision and its reason."""

    promoted: bool
    why: str
    evidence: dict[str, Any]


def objective(version: Version) -> tuple[float, float]:
    """Validation accuracy, then validation likelihood; higher is better."""
    return float(version.tags["validation_accuracy"]), -float(version.tags["validation_nll"])


def promote(home: Home, candidates: list[Version]) -> Verdict:
    """Move each architecture's alias and, if the gates allow, `champion` and `previous`."""
    name = candidates[0].name
    for candidate in sorted(candidates, key=objective):
        alias = candidate.tags["architecture"]
        holder = _holder(home, name, alias)
        if holder is None or objective(candidate) > objective(holder):
            move_alias(home, alias, candidate, why="best of its architecture on validation", evidence={})
    best, champion = max(candidates, key=objective), _holder(home, name, "champion")
    verdict = judge(home, best, champion)
    if verdict.promoted:
        if champion is not None:
            move_alias(home, "previous", champion, why=f"succeeded by version {best.number}", evidence={})
        move_alias(home, "champion", best, why=verdict.why, evidence=verdict.evidence)
    return verdict


def judge(home: Home, candidate: Version, champion: Version | None) -> Verdict:
    """Compare a candidate with the champion."""
    if champion is None:
        return Verdict(True, "first champion", {"validation_accuracy": objective(candidate)[0]})
    if champion.number == candidate.number:
        return Verdict(False, "it is the champion already", {})
    candidate_N, champion_N = (_correct(home, version) for version in (candidate, champion))
    evidence: dict[str, Any] = {"candidate": objective(candidate)[0], "champion": objective(champion)[0]}
    if objective(candidate) <= objective(champion):
        return Verdict(False, f"not better on validation than version {champion.number}", evidence)
    if len(candidate_N) != len(champion_N) or candidate.tags["data_digest"] != champion.tags["data_digest"]:
        return Verdict(True, "better on validation; the data changed, so the tests cannot be paired", evidence)
    evidence["mcnemar_p"] = mcnemar_p_value(candidate_N, champion_N)
    if candidate_N.mean() < champion_N.mean() and evidence["mcnemar_p"] < SIGNIFICANCE:
        return Verdict(False, f"significantly worse on test (p = {evidence['mcnemar_p']:.3g})", evidence)
    return Verdict(True, f"better on validation than version {champion.number}, not worse on test", evidence)


def _holder(home: Home, name: str, alias: str) -> Version | None:
    return next((version for version in versions(home, name) if alias in version.aliases), None)


def _correct(home: Home, version: Version) -> NDArray[np.bool_]:
    with np.load(home.steps / version.tags["evaluation"] / "test.npz", allow_pickle=False) as test:
        correct_N: NDArray[np.bool_] = test["correct"]
    return correct_N
