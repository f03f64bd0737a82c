"""Batches of samples of like length, so that little of them is padding. N samples, M rows of an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modelyard.training.drawing import by_length
from modelyard.training.protocols import Sampler


@dataclass(frozen=True, slots=True)
class ByLength:
    """The rows of another sampler, in other batches; of each epoch equally many of equal sizes."""

    inner: Sampler
    lengths_N: Tensor
    """Symbols of each sample, int64 on the CPU."""

    def batches(self, epoch: int, losses_N: Tensor, draw: torch.Generator) -> list[Tensor]:
        """Global batches of row numbers: of `WINDOW` batches each the rows by length, then all shuffled."""
        cut = by_length(list(self.inner.batches(epoch, losses_N, draw)), self.lengths_N)
        return [cut[place] for place in torch.randperm(len(cut), generator=draw).tolist()]

    def steps(self, epochs: int) -> tuple[int, ...]:
        """Batches of each epoch."""
        return self.inner.steps(epochs)
