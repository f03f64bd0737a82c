"""Labelled and unlabelled rows in each batch. L labelled rows, U unlabelled ones, M rows of an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modelyard.training.drawing import by_length, num_batches
from modelyard.training.protocols import Sampler


@dataclass(frozen=True, slots=True)
class Mixed:
    """As many batches as all rows would make, each with equally many labelled rows, which come as often as it
    takes; of the unlabelled ones none comes twice in an epoch unless there are less than batches.
    """

    labelled: Sampler
    """Over the places of `rows_L`, of which there are two or more."""
    rows_L: Tensor
    """int64, on the CPU."""
    rows_U: Tensor
    """One or more."""
    batch_size: int
    ratio: float
    """Unlabelled rows for each labelled one, at most."""
    lengths_N: Tensor | None = None
    """As in `ByLength`, where samples differ in it."""

    def batches(self, epoch: int, losses_N: Tensor, draw: torch.Generator) -> list[Tensor]:
        """Global batches of row numbers, the labelled ones first."""
        whole, (count,) = len(self.rows_L) + len(self.rows_U), self.steps(1)
        size = min(self.batch_size, whole)
        unknown = max(
            1, min(round(size * self.ratio / (1 + self.ratio)), size - 1, len(self.rows_U) // count)
        )
        shuffled_U = self.rows_U[torch.randperm(len(self.rows_U), generator=draw)]
        drawn: list[Tensor] = []
        while sum(map(len, drawn)) < count * (size - unknown):
            drawn += self.labelled.batches(epoch, losses_N[self.rows_L], draw)
        known_M = self.rows_L[torch.cat(drawn)[: count * (size - unknown)]]
        unknown_M = shuffled_U[torch.arange(count * unknown) % len(shuffled_U)]
        parts = [torch.split(known_M, size - unknown), torch.split(unknown_M, unknown)]
        if self.lengths_N is None:
            return [torch.cat(pair) for pair in zip(*parts, strict=True)]
        pairs = list(zip(*(by_length(part, self.lengths_N) for part in parts), strict=True))
        return [torch.cat(pairs[place]) for place in torch.randperm(count, generator=draw).tolist()]

    def steps(self, epochs: int) -> tuple[int, ...]:
        """Batches of each epoch."""
        return (num_batches(len(self.rows_L) + len(self.rows_U), self.batch_size),) * epochs
