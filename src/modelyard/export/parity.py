"""The gate between export and registry: onnxruntime has to answer as torch does. N images, K classes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modelyard.bundle import MODEL_FILE, PARITY_TOLERANCE, read_bundle
from modelyard.data.datasets import Split, evaluated_rows
from modelyard.errors import ParityError
from modelyard.export.onnx import DeployedModel
from modelyard.inference.session import classify, open_session

BATCH_SIZES = (1, 2, 7, 64)
FEW = 128
"""Images compared at each batch size."""


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


def raw_blocks(split: Split, size: int = 4096) -> Iterator[NDArray[Any]]:
    """The split's samples in order as the deployed graph reads them, blocks of [B, ...]."""
    size, encoding = evaluated_rows(split.form, size), split.form.encoding
    for start in range(0, len(split), size):
        yield encoding.raw(split.gather(slice(start, start + size)))


def torch_probabilities(
    deployed: DeployedModel, raw: NDArray[Any], batch_size: int = 512
) -> NDArray[np.float32]:
    """What torch answers, [B, K]."""
    with torch.inference_mode():
        parts = [
            deployed(torch.tensor(raw[at : at + batch_size]))[1] for at in range(0, len(raw), batch_size)
        ]
    return torch.cat(parts).numpy()


def check_parity(bundle: Path, deployed: DeployedModel, test: Split) -> ParityReport:
    """All test images, the first of them at each of `BATCH_SIZES`, then the golden samples on a moved copy.

    Equal labels on every image mean equal test accuracy. Raises: ParityError with the numbers.
    """
    session = open_session(bundle / MODEL_FILE)
    report = ParityReport(0, 0.0, 0)
    for raw in raw_blocks(test):
        expected_BK = torch_probabilities(deployed, raw)
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
            f"onnxruntime and torch disagree on {report.label_mismatches} of {report.samples} "
            f"labels; largest difference of a probability {report.max_difference:.2e}, allowed "
            f"{PARITY_TOLERANCE:.0e}; nothing was registered"
        )
