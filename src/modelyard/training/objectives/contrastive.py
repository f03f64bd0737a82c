"""Pre-training: which two of a batch are views of one sample (SimCLR: Chen et al. 2020)? B rows, D features,
Z numbers of a projection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.batches import Batch, Feed
from modelyard.training.objectives.classification import Classification
from modelyard.training.objectives.pretext import FromFeatures, Pretext, PretextConfig, features_width
from modelyard.training.protocols import Coupling, Moment, Objective

PROJECTED = 128
"""Numbers of a projection."""


class ContrastiveConfig(PretextConfig):
    """Two views of each sample by strong augmentation, which `training.augment` is made into."""

    method: Literal["contrastive"] = "contrastive"
    temperature: float = Field(0.2, gt=0)
    """Of the similarities."""

    def objective(self, base: Classification, feed: Feed) -> Objective:
        """What is minimised."""
        return Contrastive.of(base.augment, feed, self.temperature)


@dataclass(frozen=True, slots=True)
class Contrastive(Pretext):
    """Cross-entropy of the other view among all others of the batch, in both directions."""

    coupling: ClassVar[Coupling] = "batch"
    temperature: float = 0.2

    def head(self, network: Any) -> nn.Module:
        """A projection by two layers."""
        width = features_width(network, self.probed.form)
        return FromFeatures(nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTED)))

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """Two of each sample, one beside the other in the first axis; their number is the second input."""
        (samples_B,) = batch.inputs
        strong = self.augment.stronger(samples_B.shape[1:])
        pair = [strong.views(samples_B, moment.draw) for _ in range(2)]
        both = torch.stack(pair, 1).flatten(0, 1)
        return replace(batch, inputs=(both, torch.arange(len(both), device=both.device)))

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[2 B, Z] -> the mean of both views, float32 [B], nats."""
        directions = functional.normalize(outputs.float(), dim=1)
        similarities = (directions @ directions.T / self.temperature).fill_diagonal_(-torch.inf)
        others = batch.inputs[1] ^ 1
        return functional.cross_entropy(similarities, others, reduction="none").view(-1, 2).mean(1)
