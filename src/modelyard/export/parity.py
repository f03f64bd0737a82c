"""The gate between export and registry: onnxruntime has to answer as the model does. N samples, K classes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import PARITY_TOLERANCE, read_bundle
from modelyard.data.datasets import Split, evaluated_rows
from modelyard.errors import ParityError
from modelyard.export.deployed import Deployed
from modelyard.inference.session import classify, open_session

BATCH_SIZES = (1, 2, 7, 64)
FEW = 128
"""Samples compared at each batch size."""
BLOCK = 4096
"""Samples compared at once, at most."""


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What was compared and how far apart it was."""

    samples: int
    max_difference: float
    """NaN where an answer was not a number."""
    label_mismatches: int

    def __add__(self, other: ParityReport) -> ParityReport:
        worst = float(np.maximum(self.max_difference, other.max_difference))  # unlike max(), keeps NaN
        return ParityReport(
            self.samples + other.samples, worst, self.label_mismatches + other.label_mismatches
        )


def answers_of(deployed: Deployed, test: Split) -> NDArray[np.float32]:
    """What every graph of a model has to answer to all test samples [N, K]."""
    return np.concatenate([deployed.probabilities(test.take(rows_B)) for rows_B in _blocks(test)])


def _blocks(test: Split) -> Iterator[NDArray[np.int64]]:
    size = evaluated_rows(test.form, BLOCK)
    for start in range(0, len(test), size):
        yield np.arange(start, min(start + size, len(test)))


def check_parity(bundle: Path, expected_NK: NDArray[np.float32], test: Split) -> ParityReport:
    """All test samples, the first of them at each of `BATCH_SIZES`, then the golden samples on a moved copy;
    `expected_NK` are those of `answers_of`.

    Equal labels on every sample mean equal test accuracy. Raises: ParityError with the numbers.
    """
    found = read_bundle(bundle)
    session, signature = open_session(found.model), found.manifest.signature
    report = ParityReport(0, 0.0, 0)
    for rows_B in _blocks(test):
        raw, expected_BK = signature.raw(test.take(rows_B).in_memory), expected_NK[rows_B]
        if not report.samples:
            for batch_size in BATCH_SIZES:
                some, some_BK = raw[:FEW], expected_BK[:FEW]
                _demand(_compare(classify(session, some, batch_size), some_BK))
        report = report + _compare(classify(session, raw), expected_BK)
    _demand(report)
    with tempfile.TemporaryDirectory() as elsewhere:
        copy = read_bundle(Path(shutil.copytree(bundle, Path(elsewhere) / "bundle")))
        raw, probabilities_BK = copy.samples()
        _demand(_compare(classify(open_session(copy.model), raw), probabilities_BK))
    return report


def _compare(found_BK: NDArray[np.float32], expected_BK: NDArray[np.float32]) -> ParityReport:
    difference = float(np.abs(found_BK - expected_BK).max())
    return ParityReport(
        len(expected_BK), difference, int((found_BK.argmax(1) != expected_BK.argmax(1)).sum())
    )


def _demand(report: ParityReport) -> None:
    if not report.max_difference <= PARITY_TOLERANCE or report.label_mismatches:
        raise ParityError(
            f"onnxruntime and the model disagree on {report.label_mismatches} of {report.samples} "
            f"labels; largest difference of a probability {report.max_difference:.2e}, allowed "
            f"{PARITY_TOLERANCE:.0e}; nothing was registered"
        )
