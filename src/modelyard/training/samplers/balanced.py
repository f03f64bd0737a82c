"""Each class equally often: rows of rare classes come several times. N images, K classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from modelyard.training.drawing import HARD_PART, cut, hard_and_others, num_batches, num_chosen


@dataclass(frozen=True, slots=True)
class Balanced:
    """As many rows as without it, but of each class equally many."""

    labels_N: Tensor
    """int64, on the CPU."""
    batch_size: int
    share: float = 1.0
    """As in `Hard`: below one, half of each class's rows are its hard ones."""

    def batches(self, epoch: int, losses_N: Tensor, draw: torch.Generator) -> list[Tensor]:
        """Global batches of row numbers; no row comes again before all others of its class came."""
        share = self.share if epoch else 1.0
        count, hard_part = num_chosen(len(self.labels_N), share), HARD_PART if share < 1 else 0.0
        sizes = torch.bincount(self.labels_N).tolist()
        by_class = [rows for rows in torch.split(self.labels_N.argsort(stable=True), sizes) if len(rows)]
        chosen: list[Tensor] = []
        for place, number in enumerate(torch.randperm(len(by_class), generator=draw).tolist()):
            rows, wanted = by_class[number], count // len(by_class) + (place < count % len(by_class))
            some = hard_and_others(losses_N[rows], wanted % len(rows), hard_part, draw)
            chosen += [rows.repeat(wanted // len(rows)), rows[some]]
        return cut(torch.cat(chosen)[torch.randperm(count, generator=draw)], self.batch_size)

    def steps(self, epochs: int) -> tuple[int, ...]:
        """Batches of each epoch."""
        first, later = (num_chosen(len(self.labels_N), share) for share in (1.0, self.share))
        return tuple(num_batches(later if epoch else first, self.batch_size) for epoch in range(epochs))
