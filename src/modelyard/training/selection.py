"""Which images an epoch trains on: all at first, then the hard ones and some of the others. N images, M of them chosen."""

from __future__ import annotations

import torch
from torch import Tensor

HARD_PART = 0.5
"""Of the chosen images; the rest is drawn from all others, so that none is forgotten and no wrong label rules."""


def choose_images(losses_N: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Row numbers int64 [M] in random order; `share` of all, half of them those with the largest last loss.

    Most images are learnt in one epoch and teach nothing more (selective backprop: Jiang et al. 2019). `losses_N` is
    infinite where an image was not seen yet.
    """
    count = num_chosen(len(losses_N), share)
    if count == len(losses_N):
        return torch.randperm(count, generator=generator)
    order_N = losses_N.cpu().argsort(descending=True, stable=True)
    hard = round(count * HARD_PART)
    others = order_N[hard:][torch.randperm(len(order_N) - hard, generator=generator)[: count - hard]]
    chosen_M = torch.cat([order_N[:hard], others])
    return chosen_M[torch.randperm(count, generator=generator)]


def num_chosen(num_images: int, share: float) -> int:
    """How many images an epoch after the first has, at least two."""
    return min(num_images, max(2, round(num_images * share)))
