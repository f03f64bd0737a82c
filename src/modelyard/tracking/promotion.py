"""Which version leads: better on validation, and not significantly worse on the same test images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import MODEL_FILE, open_bundle
from modelyard.data.datasets import open_packed
from modelyard.evaluation.significance import mcnemar_p_value
from modelyard.export.parity import pixel_blocks
from modelyard.home import Home
from modelyard.inference import classify, open_session
from modelyard.tracking.registry import Version, move_alias, release_folder, versions

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


def promote(home: Home, candidates: list[Version], data: Path) -> Verdict:
    """Move each architecture's alias and, if the gates allow, `champion` and `previous`.

    `data` is the packed data set on whose test images candidate and champion are compared.
    """
    name = candidates[0].name
    for candidate in sorted(candidates, key=objective):
        alias = candidate.tags["architecture"]
        holder = _holder(home, name, alias)
        if holder is None or holder.number == candidate.number or _is_better(candidate, holder):
            move_alias(home, alias, candidate, why="best of its architecture on validation", evidence={})
    best, champion = max(candidates, key=objective), _holder(home, name, "champion")
    verdict = judge(home, best, champion, data)
    if verdict.promoted and champion is not None:
        move_alias(home, "previous", champion, why=f"succeeded by version {best.number}", evidence={})
    if verdict.promoted or (champion is not None and champion.number == best.number):
        move_alias(home, "champion", best, why=verdict.why, evidence=verdict.evidence)
    return verdict


def _is_better(candidate: Version, holder: Version) -> bool:
    """On validation; where the data changed, the version that knows the new data."""
    return _data_changed(candidate, holder) or objective(candidate) > objective(holder)


def _data_changed(candidate: Version, holder: Version) -> bool:
    return candidate.tags["data_digest"] != holder.tags["data_digest"]


def judge(home: Home, candidate: Version, champion: Version | None, data: Path) -> Verdict:
    """Compare a candidate with the champion: the objective on validation, then McNemar's test on the same test images.

    Validation scores on different data say nothing of each other; there the test on the candidate's images decides.
    """
    if champion is None:
        return Verdict(True, "first champion", {"validation_accuracy": objective(candidate)[0]})
    if champion.number == candidate.number:
        return Verdict(False, "it is the champion already", {})
    evidence: dict[str, Any] = {"candidate": objective(candidate)[0], "champion": objective(champion)[0]}
    changed = _data_changed(candidate, champion)
    if not changed and objective(candidate) <= objective(champion):
        return Verdict(False, f"not better on validation than version {champion.number}", evidence)
    candidate_N, champion_N = (_correct(home, version, data, changed) for version in (candidate, champion))
    if candidate_N is None or champion_N is None:
        return Verdict(True, "the classes or the image size changed, so it cannot be compared with the champion", evidence)
    evidence |= {"test": float(candidate_N.mean()), "champion_test": float(champion_N.mean())}
    evidence["mcnemar_p"] = mcnemar_p_value(candidate_N, champion_N)
    if evidence["test"] < evidence["champion_test"] and evidence["mcnemar_p"] < SIGNIFICANCE:
        return Verdict(False, f"significantly worse on test (p = {evidence['mcnemar_p']:.3g})", evidence)
    better = "trained on changed data" if changed else f"better on validation than version {champion.number}"
    return Verdict(True, f"{better}, not significantly worse on test (p = {evidence['mcnemar_p']:.3g})", evidence)


def _holder(home: Home, name: str, alias: str) -> Version | None:
    return next((version for version in versions(home, name) if alias in version.aliases), None)


def _correct(home: Home, version: Version, data: Path, changed: bool) -> NDArray[np.bool_] | None:
    """Which test images of `data` the version gets right; None where its classes or image size are others."""
    recorded = home.steps / version.tags["evaluation"] / "test.npz"
    if not changed and recorded.exists():
        with np.load(recorded, allow_pickle=False) as test:
            correct_N: NDArray[np.bool_] = test["correct"]
        return correct_N
    dataset, folder = open_packed(data, verify=False), release_folder(home, version)
    manifest = open_bundle(folder)
    height, width, channels = manifest.image_shape
    if manifest.classes != dataset.classes or (channels, height, width) != dataset.image_shape:
        return None
    session = open_session(folder / MODEL_FILE)
    answers = [classify(session, images_BHWC).argmax(1) for images_BHWC in pixel_blocks(dataset.test)]
    return np.asarray(np.concatenate(answers) == dataset.test.labels_N)
