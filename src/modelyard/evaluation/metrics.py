"""Scores of a classifier from its probabilities. N images, K classes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]
Labels = NDArray[np.int64]
ECE_BINS = 15
RECALL, NEVER_GIVEN = "test/recall", "validation/never_given"
"""Metrics of single classes: `test/recall/7` is that of class 7. Only of a few, whatever the number of
classes. None has the bare name: MLflow's file stores make a folder of it."""
ALL_NAMED, LOWEST_NAMED = 4, 3
"""Up to so many classes the recall of each is kept, of more the lowest."""
MISSED_IMAGES = 5
"""A class with so many validation images should be given at least once."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model scores on one split; nll in nats, the rest as shares of one."""

    accuracy: float
    accuracy_low: float
    """Lower end of the 95 % Wilson interval (Wilson 1927)."""
    accuracy_high: float
    macro_f1: float
    balanced_accuracy: float
    """Mean recall of the classes that occur."""
    min_recall: float
    """Lowest of them."""
    majority_share: float
    """Share of the largest class: what always giving it would score."""
    nll: float
    brier: float
    ece: float

    def prefixed(self, split: str) -> dict[str, float]:
        """Metric names as the tracker shows them, such as `test/accuracy`."""
        return {f"{split}/{name}": getattr(self, name) for name in self.__slots__}


def score(probabilities_NK: Probabilities, labels_N: Labels) -> Scores:
    """All scores at once."""
    from scipy.stats import binomtest  # half a second, only where something is scored

    matrix_KK = confusion_matrix(probabilities_NK, labels_N)
    correct = int(np.trace(matrix_KK))
    interval = binomtest(correct, len(labels_N)).proportion_ci(0.95, method="wilson")
    _, recall_K, f1_K = per_class(matrix_KK)
    sizes_K = matrix_KK.sum(1)
    occurring = recall_K[sizes_K > 0]
    return Scores(
        correct / len(labels_N), float(interval.low), float(interval.high), float(f1_K.mean()),
        float(occurring.mean()), float(occurring.min()), int(sizes_K.max()) / len(labels_N),
        negative_log_likelihood(probabilities_NK, labels_N), brier(probabilities_NK, labels_N),
        expected_calibration_error(probabilities_NK, labels_N),
    )  # fmt: skip


def confusion_matrix(probabilities_NK: Probabilities, labels_N: Labels) -> NDArray[np.int64]:
    """Counts [K, K]: rows are true classes, columns the answers."""
    num_classes = probabilities_NK.shape[1]
    flat = np.bincount(labels_N * num_classes + probabilities_NK.argmax(1), minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def per_class(matrix_KK: NDArray[np.int64]) -> tuple[Probabilities, Probabilities, Probabilities]:
    """Precision, recall and F1, each [K]; zero where a class never occurs."""
    hits_K = np.diag(matrix_KK).astype(float)
    precision_K, recall_K = (
        hits_K / np.maximum(1, matrix_KK.sum(0)),
        hits_K / np.maximum(1, matrix_KK.sum(1)),
    )
    return (precision_K, recall_K, 2 * precision_K * recall_K / np.maximum(1e-12, precision_K + recall_K))


def lowest_recalls(matrix_KK: NDArray[np.int64]) -> dict[str, float]:
    """Recall of each class that occurs, as metrics, lowest first; of more than `ALL_NAMED` classes the
    `LOWEST_NAMED`.
    """
    recall_K, most = per_class(matrix_KK)[1], ALL_NAMED if len(matrix_KK) <= ALL_NAMED else LOWEST_NAMED
    order = [int(label) for label in np.argsort(recall_K, kind="stable") if matrix_KK[label].any()]
    return {f"{RECALL}/{label}": float(recall_K[label]) for label in order[:most]}


def never_given(matrix_KK: NDArray[np.int64]) -> dict[str, float]:
    """How many classes with `MISSED_IMAGES` are no answer at all, and the images of the largest of them, as
    metrics.
    """
    sizes_K = matrix_KK.sum(1)
    missed = np.flatnonzero((sizes_K >= MISSED_IMAGES) & (matrix_KK.sum(0) == 0))
    largest = missed[np.argsort(-sizes_K[missed], kind="stable")][:LOWEST_NAMED]
    return {f"{NEVER_GIVEN}/count": float(len(missed))} | {
        f"{NEVER_GIVEN}/{label}": float(sizes_K[label]) for label in largest
    }


def of_classes(metrics: Mapping[str, float], name: str, classes: Sequence[str]) -> dict[str, float]:
    """Class -> value of the classes for which the metric was kept, lowest first."""
    kept = {
        label: metrics[key] for number, label in enumerate(classes) if (key := f"{name}/{number}") in metrics
    }
    return dict(sorted(kept.items(), key=lambda item: item[1]))


def per_class_table(matrix_KK: NDArray[np.int64], classes: Sequence[str], many: str) -> str:
    """CSV of class, its test samples (a column of that name), precision, recall and F1."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["class", many, "precision", "recall", "f1"])
    scores_K3 = np.stack(per_class(matrix_KK), 1).round(4).tolist()
    writer.writerows(
        [name, int(n), *row] for name, n, row in zip(classes, matrix_KK.sum(1), scores_K3, strict=True)
    )
    return out.getvalue()


def negative_log_likelihood(probabilities_NK: Probabilities, labels_N: Labels) -> float:
    """Mean of -log p(true class), in nats."""
    return float(-np.log(np.maximum(1e-12, probabilities_NK[np.arange(len(labels_N)), labels_N])).mean())


def brier(probabilities_NK: Probabilities, labels_N: Labels) -> float:
    """Mean squared distance to the one-hot label (Brier 1950), between 0 and 2."""
    return float(((probabilities_NK - np.eye(probabilities_NK.shape[1])[labels_N]) ** 2).sum(1).mean())


def expected_calibration_error(probabilities_NK: Probabilities, labels_N: Labels) -> float:
    """Mean gap of confidence and accuracy over 15 bins of equal mass (Naeini et al. 2015; Nixon
    et al. 2019).
    """
    bins = confidence_bins(probabilities_NK, labels_N)
    return float(
        sum(abs(confidence - accuracy) * count for confidence, accuracy, count in bins) / len(labels_N)
    )


def confidence_bins(probabilities_NK: Probabilities, labels_N: Labels) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and number of images of `ECE_BINS` bins of equal mass, least
    confident first.
    """
    confidence_N, correct_N = (probabilities_NK.max(1), probabilities_NK.argmax(1) == labels_N)
    bins = np.array_split(np.argsort(confidence_N, kind="stable"), min(ECE_BINS, len(labels_N)))
    return [(float(confidence_N[rows].mean()), float(correct_N[rows].mean()), len(rows)) for rows in bins]
