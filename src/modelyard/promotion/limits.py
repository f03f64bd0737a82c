"""The limits of promotion. They are judged when a version is promoted: no weight and no bundle depends on
them.
"""

from __future__ import annotations

from pydantic import Field

from modelyard.bundle import PARITY_TOLERANCE
from modelyard.config import Config


class GatesConfig(Config):
    """What a candidate has to pass; None is no limit."""

    parity: float = Field(PARITY_TOLERANCE, gt=0, le=1)
    """Largest difference of a probability between torch and onnxruntime, on the test images and on the golden
    samples.
    """
    min_accuracy: float | None = Field(None, ge=0, le=1)
    """Test accuracy; None asks for more than guessing, which is the share of the largest class."""
    min_recall: float | None = Field(None, ge=0, le=1)
    """Lowest recall of a class on test; None is no limit."""
    every_class: bool = True
    """Whether a candidate is refused that never gives a class which has 5 or more validation images."""
    significance: float = Field(0.05, gt=0, lt=1)
    """Level of the tests against the champion: McNemar's overall, and per class for the whole family of
    classes.
    """
    per_class: bool = True
    """Whether each class is tested, with Holm's correction."""
    max_ece: float | None = Field(None, ge=0, le=1)
    """Expected calibration error on test."""
    max_ece_increase: float | None = Field(0.02, ge=0, le=1)
    """How much larger the calibration error may be than the champion's on the same images."""
    max_latency_ms_p50: float | None = Field(None, gt=0)
    """Median of one image through onnxruntime, in milliseconds, as measured at export."""
    max_latency_ms_p99: float | None = Field(None, gt=0)
    """99th percentile of the same."""
    max_megabytes: float | None = Field(None, gt=0)
    """Size of model.onnx; a megabyte is 1,000,000 bytes."""
