"""What the ways of a fine-tuning are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from modelyard.data.splits import Splits
from modelyard.machine.how import OnEpoch
from modelyard.training.adapt.last_layer import LastLayer, last_layers
from modelyard.training.job import TrainJob
from modelyard.training.loop import TrainResult


@dataclass(frozen=True, slots=True)
class Tuning:
    """A network with its first weights, and what to make of it."""

    network: nn.Module
    splits: Splits
    """As the network takes them."""
    job: TrainJob
    num_classes: int
    device: torch.device
    on_epoch: OnEpoch
    loop: Callable[[], TrainResult]
    """The training loop on this network."""

    def last_layers(self) -> list[LastLayer]:
        """Of the network. Raises: TrainingError where it has none."""
        few = self.splits.validation.take(np.arange(min(2, len(self.splits.validation))))
        return last_layers(self.network.to(self.device), self.num_classes, few, self.device)
