"""A student learns what a teacher answers (Hinton et al. 2015). B rows, N samples, K classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from modelyard.config import Config, Part
from modelyard.data.batches import Batch, Feed
from modelyard.training.objectives.classification import Classification
from modelyard.training.protocols import Coupling, Moment, Network, OneCall, Scores

ANSWERS = "teacher"
"""Column of the teacher's calibrated logits, float32 [N, K]."""


class DistilConfig(Config):
    """Who teaches, and how much that counts."""

    teacher: Annotated[str | tuple[str, ...], Part.HOW]
    """`NAME@ALIAS`, a bundle's folder, or several, whose logits are averaged; what they are is in the key."""
    temperature: float = Field(4.0, gt=0)
    """Of both answers while they are compared; the loss is multiplied by its square, or its gradients would
    shrink by as much."""
    weight: float = Field(0.9, ge=0, le=1)
    """Of the teacher's answers beside the labels."""

    def objective(self, base: Classification, _feed: Feed) -> Distilled:
        """Beside the classes."""
        return Distilled(base, self.temperature, self.weight)


@dataclass(frozen=True, slots=True)
class Distilled(OneCall):
    """Divergence from the teacher's softened answers, beside the cross-entropy of the labels.

    The teacher was asked about samples as they are stored, the student sees them augmented.
    """

    coupling: ClassVar[Coupling] = "sample"
    base: Classification
    temperature: float
    weight: float

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """As for the classes alone."""
        return self.base.views(batch, moment)

    def counts(self, batch: Batch) -> Tensor:
        """As for the classes alone."""
        return self.base.counts(batch)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Logits [B, K] -> float32 [B], nats."""
        student_BK = functional.log_softmax(outputs.float() / self.temperature, 1)
        teacher_BK = functional.log_softmax(batch.columns[ANSWERS] / self.temperature, 1)
        taught_B = functional.kl_div(student_BK, teacher_BK, reduction="none", log_target=True).sum(1)
        told_B = self.base.losses(outputs, batch)
        return told_B.lerp(taught_B * self.temperature**2, self.weight)

    def validate(self, network: Network, feed: Feed) -> Scores:
        """By the labels."""
        return self.base.validate(network, feed)
