"""Pre-training: by how many quarters was an image turned (Gidaris et al. 2018)? B rows, D features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.batches import Batch, Feed
from modelyard.training.objectives.classification import Classification
from modelyard.training.objectives.pretext import FromFeatures, Pretext, PretextConfig, features_width
from modelyard.training.protocols import Moment, Objective


class RotationConfig(PretextConfig):
    """Of images that have a right way up."""

    kinds: ClassVar[frozenset[str]] = frozenset({"image"})
    method: Literal["rotation"] = "rotation"

    def objective(self, base: Classification, feed: Feed) -> Objective:
        """What is minimised."""
        return Rotation.of(base.augment, feed)


@dataclass(frozen=True, slots=True)
class Rotation(Pretext):
    """Cross-entropy over the turns: all four of a square, two of others."""

    def head(self, network: Any) -> nn.Module:
        """A linear layer."""
        return FromFeatures(nn.Linear(features_width(network, self.probed.form), len(self._quarters)))

    @property
    def _quarters(self) -> tuple[int, ...]:
        height, width = self.probed.form.size
        return (0, 1, 2, 3) if height == width else (0, 2)

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """Each sample turned in one of the ways, and in which."""
        (samples_B,) = batch.inputs
        turned_RB = torch.stack(
            [self.augment.views(samples_B, moment.draw).rot90(quarter, (2, 3)) for quarter in self._quarters]
        )
        turns_B = torch.randint(
            len(self._quarters), (len(samples_B),), generator=moment.draw, device=moment.draw.device
        ).to(samples_B.device)
        chosen_B = turned_RB[turns_B, torch.arange(len(samples_B), device=samples_B.device)]
        return replace(batch, inputs=(chosen_B.contiguous(memory_format=torch.channels_last), turns_B))

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Logits of the turns -> float32 [B], nats."""
        return functional.cross_entropy(outputs.float(), batch.inputs[1], reduction="none")
