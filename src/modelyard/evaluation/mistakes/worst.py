"""Which test samples are answered wrongly. N samples, K classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from modelyard.data.datasets import Dataset
from modelyard.evaluation.metrics import Probabilities


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer."""

    row: int
    """Of the test split, from 0."""
    answer: str
    probability: float
    truth: str


def worst_mistakes(dataset: Dataset, probabilities_NK: Probabilities, most: int) -> Iterator[Mistake]:
    """At most so many, the most confident first."""
    answers_N, labels_N, classes = probabilities_NK.argmax(1), dataset.test.labels_N, dataset.classes
    wrong = np.flatnonzero(answers_N != labels_N)
    worst = wrong[np.argsort(-probabilities_NK[wrong].max(1), kind="stable")][:most]
    for row in worst.tolist():
        sure = float(probabilities_NK[row].max())
        yield Mistake(row, classes[answers_N[row]], sure, classes[labels_N[row]])
