"""A student learns what a teacher answers (Hinton et al. 2015). B rows, K classes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modelyard.config import Config, Part
from modelyard.data.batches import Feed
from modelyard.training.objectives.classification import Classification
from modelyard.training.protocols import Objective

ANSWERS = "teacher"
"""Column of the teacher's logits, float32 [N, K]."""


class DistilConfig(Config):
    """Who teaches, and how much that counts."""

    teacher: Annotated[str | tuple[str, ...], Part.HOW]
    """`NAME@ALIAS`, a bundle's folder, or several, whose logits are averaged; what they are is in the key."""
    temperature: float = Field(4.0, gt=0)
    """Of both answers while they are compared; the loss is multiplied by its square."""
    weight: float = Field(0.9, ge=0, le=1)
    """Of the teacher's answers beside the labels."""

    def objective(self, base: Classification, feed: Feed) -> Objective:
        """What is minimised."""
        raise NotImplementedError
