"""All rows once an epoch, in random order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modelyard.training.drawing import cut, num_batches


@dataclass(frozen=True, slots=True)
class Shuffled:
    """All rows once an epoch, in random order."""

    num_samples: int
    batch_size: int

    def batches(self, epoch: int, losses_N: Tensor, draw: torch.Generator) -> list[Tensor]:
        """Global batches of row numbers."""
        return cut(torch.randperm(self.num_samples, generator=draw), self.batch_size)

    def steps(self, epochs: int) -> tuple[int, ...]:
        """Batches of each epoch."""
        return (num_batches(self.num_samples, self.batch_size),) * epochs
