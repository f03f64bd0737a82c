"""The limits of promotion. They are judged when a version is promoted: no weight and no bundle depends on
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from modelyard.bundle import PARITY_TOLERANCE
from modelyard.config import Config


@dataclass(frozen=True, slots=True)
class AtMost:
    """The gate of a limit that a metric of the manifest must not exceed: all that such a gate needs."""

    gate: str
    metric: str
    wording: str
    """The value in words."""
    unit: float = 1.0
    """What of the metric is 1 in the limit."""


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
    max_ece: Annotated[float | None, Field(ge=0, le=1), AtMost("calibration", "test/ece", "ECE {:.4f}")] = (
        None
    )
    """Expected calibration error on test."""
    max_ece_increase: float | None = Field(0.02, ge=0, le=1)
    """How much larger the calibration error may be than the champion's on the same images."""
    max_latency_ms_p50: Annotated[
        float | None, Field(gt=0), AtMost("latency p50", "onnx/latency_ms_p50", "{:.3f} ms")
    ] = None
    """Median of one image through onnxruntime, in milliseconds, as measured at export."""
    max_latency_ms_p99: Annotated[
        float | None, Field(gt=0), AtMost("latency p99", "onnx/latency_ms_p99", "{:.3f} ms")
    ] = None
    """99th percentile of the same."""
    max_megabytes: Annotated[float | None, Field(gt=0), AtMost("size", "onnx/bytes", "{:.3f} MB", 1e6)] = None
    """Size of model.onnx; a megabyte is 1,000,000 bytes."""

    def measured(self) -> Iterator[tuple[AtMost, float | None]]:
        """The gates of metrics, each with its limit, in the order of the fields."""
        for name, field in type(self).model_fields.items():
            for gate in field.metadata:
                if isinstance(gate, AtMost):
                    yield gate, getattr(self, name)
