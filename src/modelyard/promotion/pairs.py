"""Candidate and champion on the same test samples, one by one and class by class. N samples, K classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Split
from modelyard.evaluation.corrections import holm
from modelyard.evaluation.metrics import Labels, Probabilities, expected_calibration_error
from modelyard.evaluation.significance import mcnemar_p_value
from modelyard.samples.names import Names


@dataclass(frozen=True, slots=True)
class Change:
    """How the answers to some samples changed from the champion to the candidate."""

    name: str
    """Class, or empty for all samples."""
    samples: int
    gained: int
    """Samples that only the candidate gets right."""
    lost: int
    """Samples that only the champion gets right."""
    p_value: float
    """McNemar's exact two-sided test; of a class after Holm's correction."""

    def is_worse(self, significance: float) -> bool:
        """More lost than gained, and not by chance."""
        return self.lost > self.gained and self.p_value < significance

    def told(self, names: Names) -> dict[str, Any]:
        """As JSON."""
        counts = {names.many: self.samples, "gained": self.gained, "lost": self.lost}
        return {"name": self.name, **counts, "p_value": self.p_value}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two versions' answers to the same samples."""

    candidate_NK: Probabilities
    champion_NK: Probabilities
    labels_N: Labels
    classes: tuple[str, ...]
    rows_N: NDArray[np.int64]
    """Which test samples they are."""
    test: Split
    note: str = ""
    """Of which classes, where not of all."""

    @property
    def names(self) -> Names:
        """What the samples are called."""
        names: Names = self.test.form.names
        return names

    def correct(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which samples the candidate and the champion get right, each [N]."""
        candidate_N, champion_N = (
            answers_NK.argmax(1) == self.labels_N for answers_NK in (self.candidate_NK, self.champion_NK)
        )
        return candidate_N, champion_N

    def calibration_errors(self) -> tuple[float, float]:
        """Expected calibration error of the candidate and of the champion."""
        return (
            expected_calibration_error(self.candidate_NK, self.labels_N),
            expected_calibration_error(self.champion_NK, self.labels_N),
        )

    def overall(self) -> Change:
        """All samples at once."""
        return _change("", *self.correct())

    def by_class(self) -> list[Change]:
        """Each class that has test samples; the p-values are Holm's for all of them together."""
        candidate_N, champion_N = self.correct()
        rows = [self.labels_N == number for number in range(len(self.classes))]
        changes = [
            _change(name, candidate_N[row_N], champion_N[row_N])
            for name, row_N in zip(self.classes, rows, strict=True)
            if row_N.any()
        ]
        adjusted = holm([change.p_value for change in changes])
        return [
            Change(change.name, change.samples, change.gained, change.lost, p_value)
            for change, p_value in zip(changes, adjusted, strict=True)
        ]


def _change(name: str, candidate_N: NDArray[np.bool_], champion_N: NDArray[np.bool_]) -> Change:
    gained, lost = int((candidate_N & ~champion_N).sum()), int((~candidate_N & champion_N).sum())
    return Change(name, len(candidate_N), gained, lost, mcnemar_p_value(candidate_N, champion_N))
