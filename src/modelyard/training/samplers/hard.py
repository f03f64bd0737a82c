"""All rows in the first epoch, then the hard ones and some others. N images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modelyard.training.drawing import HARD_PART, cut, hard_and_others, num_batches, num_chosen


@dataclass(frozen=True, slots=True)
class Hard:
    """Most images are learnt in one epoch and teach nothing more (selective backprop: Jiang et al. 2019)."""

    num_samples: int
    batch_size: int
    share: float
    """Of all rows, in epochs after the first; half of them are those with the largest last loss."""

    def batches(self, epoch: int, losses_N: Tensor, draw: torch.Generator) -> list[Tensor]:
        """Global batches of row numbers; `losses_N` is infinite where an image was not seen yet."""
        count = num_chosen(self.num_samples, self.share) if epoch else self.num_samples
        if count == self.num_samples:
            return cut(torch.randperm(count, generator=draw), self.batch_size)
        chosen_M = hard_and_others(losses_N, count, HARD_PART, draw)
        return cut(chosen_M[torch.randperm(count, generator=draw)], self.batch_size)

    def steps(self, epochs: int) -> tuple[int, ...]:
        """Batches of each epoch."""
        later = num_batches(num_chosen(self.num_samples, self.share), self.batch_size)
        return (num_batches(self.num_samples, self.batch_size), *[later] * (epochs - 1))[:epochs]
