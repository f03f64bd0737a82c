"""The gate between export and registry: onnxruntime has to answer as torch does. N images, K classes."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from modelyard.bundle import MODEL_FILE, open_bundle, read_golden
from modelyard.data.datasets import Split
from modelyard.errors import ParityError
from modelyard.export.onnx import DeployedModel
from modelyard.inference import classify, open_session

BATCH_SIZES = (1, 2, 7, 64)
TOLERANCE = 1e-4
"""Largest absolute difference of a probability; float32 kernels of two libraries differ by about 1e-6."""


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What was compared and how far apart it was."""

    images: int
    max_difference: float
    label_mismatches: int


def pixels_last(split: Split) -> NDArray[np.uint8]:
    """[N, C, H, W] -> contiguous [N, H, W, C], as the deployed graph reads it."""
    return np.ascontiguousarray(split.images_NCHW.transpose(0, 2, 3, 1))


def torch_probabilities(deployed: DeployedModel, images_NHWC: NDArray[np.uint8], batch_size: int = 512) -> NDArray[np.float32]:
    """What torch answers, [N, K]."""
    with torch.inference_mode():
        parts = [deployed(torch.tensor(images_NHWC[at : at + batch_size]))[1] for at in range(0, len(images_NHWC), batch_size)]
    return torch.cat(parts).numpy()


def check_parity(bundle: Path, images_NHWC: NDArray[np.uint8], expected_NK: NDArray[np.float32]) -> ParityReport:
    """All images at once, the first 128 at each of `BATCH_SIZES`, then the golden samples on a moved copy.

    Raises: ParityError with the numbers.
    """
    session = open_session(bundle / MODEL_FILE)
    report = _compare(classify(session, images_NHWC), expected_NK)
    for batch_size in BATCH_SIZES:
        _compare(classify(session, images_NHWC[:128], batch_size), expected_NK[:128])
    with tempfile.TemporaryDirectory() as elsewhere:
        copy = Path(shutil.copytree(bundle, Path(elsewhere) / "bundle"))
        open_bundle(copy)
        images_BHWC, probabilities_BK = read_golden(copy)
        _compare(classify(open_session(copy / MODEL_FILE), images_BHWC), probabilities_BK)
    return report


def _compare(found_NK: NDArray[np.float32], expected_NK: NDArray[np.float32]) -> ParityReport:
    difference = float(np.abs(found_NK - expected_NK).max())
    mismatches = int((found_NK.argmax(1) != expected_NK.argmax(1)).sum())
    if not difference <= TOLERANCE or mismatches:
        raise ParityError(
            f"onnxruntime and torch disagree on {mismatches} of {len(expected_NK)} labels; largest difference of a"
            f" probability {difference:.2e}, allowed {TOLERANCE:.0e}; nothing was registered"
        )
    return ParityReport(len(expected_NK), difference, mismatches)
