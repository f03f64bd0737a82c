"""Shared by samplers: number of rows, choice of hard ones, batches. N images, M chosen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

HARD_PART = 0.5
"""Share of a hard selection that is hard; the rest is drawn, so that no image is left out for good and wrong
labels do not dominate."""

WINDOW = 20
"""Batches whose rows are sorted together: of like length, and yet with other companions in each epoch."""


def num_chosen(num_samples: int, share: float) -> int:
    """How many images an epoch after the first has, at least two."""
    return min(num_samples, max(2, round(num_samples * share)))


def num_batches(num_samples: int, batch_size: int) -> int:
    """Batches of `cut`."""
    full, rest = divmod(num_samples, batch_size)
    return full + (rest > 1)


def cut(order_M: Tensor, batch_size: int) -> list[Tensor]:
    """Row numbers as batches; a last batch of one is left out (batch norm needs two)."""
    return [rows_B for rows_B in torch.split(order_M, batch_size) if len(rows_B) > 1]


def hard_and_others(losses_N: Tensor, count: int, hard_part: float, draw: torch.Generator) -> Tensor:
    """`count` different rows [M], `hard_part` of them those with the largest loss, the rest drawn.

    Both parts are sorted by row before the draw: what is drawn depends on which images are hard, never on the
    order of their losses, which rounding (and so the number of processes or the device) changes.
    """
    order_N, hard = losses_N.argsort(descending=True, stable=True), round(count * hard_part)
    hard_H, others = order_N[:hard].sort().values, order_N[hard:].sort().values
    return torch.cat([hard_H, others[torch.randperm(len(others), generator=draw)[: count - hard]]])


def by_length(batches: Sequence[Tensor], lengths_N: Tensor) -> list[Tensor]:
    """The rows of each `WINDOW` batches, sorted by length and cut as they were."""
    found: list[Tensor] = []
    for start in range(0, len(batches), WINDOW):
        some = batches[start : start + WINDOW]
        rows_M = torch.cat(list(some))
        sorted_M = rows_M[lengths_N[rows_M].argsort(stable=True)]
        found += torch.split(sorted_M, [len(rows_B) for rows_B in some])
    return found
