"""What clients, MLflow's history and files on disk call the samples of each kind, and what every graph calls
its parts: none of it may change.
"""

from __future__ import annotations

from dataclasses import dataclass

BATCH, CLASS = "batch", "class"
"""Axes that every kind has."""
LOGITS, PROBABILITIES = "logits", "probabilities"
"""Outputs of a graph that tells classes apart."""


@dataclass(frozen=True, slots=True)
class Names:
    """Of one kind."""

    one: str
    """A sample, for people and in the rows of `predict --json`."""
    many: str
    """Several, for people, in tables and in reports."""
    input: str
    """Of a graph and of the golden samples; the key in V2, `/invocations` and MLflow's pyfunc."""
    rate: str
    """Metric: samples a second at the larger batch."""
    layout: str
    """Triton's name for the order of the input's axes."""
    given: str
    """What people have before it is a sample."""
    contract: str
    """Metadata of an ONNX file and tag of a version: all that turns a file into an input."""


IMAGE = Names(
    "image", "images", "images", "onnx/images_per_second", "FORMAT_NHWC", "picture", "pixel_contract"
)
TEXT = Names("text", "texts", "texts", "onnx/texts_per_second", "FORMAT_NONE", "text", "text_contract")
