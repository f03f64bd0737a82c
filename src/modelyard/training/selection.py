"""Which images an epoch trains on, and what a class counts. N images, M of them chosen, K classes.

All at first, then the hard ones and some of the others; each class as often as it occurs, or all equally
often.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

ClassWeights = Literal["none", "balanced"]
Sampling = Literal["natural", "balanced"]

HARD_PART = 0.5
"""Of the chosen images; the rest is drawn from all others, so that none is forgotten and no wrong label
rules.
"""


def choose_images(
    losses_N: Tensor, share: float, generator: torch.Generator, balanced_N: Tensor | None = None
) -> Tensor:
    """Row numbers int64 [M] in random order; `share` of all, half of them those with the largest last loss.

    Most images are learnt in one epoch and teach nothing more (selective backprop: Jiang et al. 2019).
    `losses_N` is infinite where an image was not seen yet. With labels `balanced_N` as many rows, but of each
    class equally many.
    """
    count, hard_part = num_chosen(len(losses_N), share), HARD_PART if share < 1 else 0.0
    if balanced_N is not None:
        chosen_M = _balanced(losses_N.cpu(), balanced_N.cpu(), count, hard_part, generator)
    elif count == len(losses_N):
        return torch.randperm(count, generator=generator)
    else:
        chosen_M = _some(losses_N.cpu(), count, hard_part, generator)
    return chosen_M[torch.randperm(count, generator=generator)]


def _balanced(
    losses_N: Tensor, labels_N: Tensor, count: int, hard_part: float, generator: torch.Generator
) -> Tensor:
    """Of each class equally many rows, up to one; no row comes again before all others of its class came."""
    sizes = torch.bincount(labels_N).tolist()
    by_class = [rows for rows in torch.split(labels_N.argsort(stable=True), sizes) if len(rows)]
    chosen: list[Tensor] = []
    for place, number in enumerate(torch.randperm(len(by_class), generator=generator).tolist()):
        rows, wanted = by_class[number], count // len(by_class) + (place < count % len(by_class))
        chosen += [
            rows.repeat(wanted // len(rows)),
            rows[_some(losses_N[rows], wanted % len(rows), hard_part, generator)],
        ]
    return torch.cat(chosen)


def _some(losses_N: Tensor, count: int, hard_part: float, generator: torch.Generator) -> Tensor:
    """`count` different rows, `hard_part` of them those with the largest loss."""
    order_N, hard = losses_N.argsort(descending=True, stable=True), round(count * hard_part)
    others = order_N[hard:][torch.randperm(len(order_N) - hard, generator=generator)[: count - hard]]
    return torch.cat([order_N[:hard], others])


def class_weights(labels_N: Tensor, kind: ClassWeights) -> Tensor | None:
    """What an image of each class counts, float32 [K]: N / (classes x images of the class), 1 in the mean
    over the images.

    None where all count alike; 0 for a class without images.
    """
    if kind == "none":
        return None
    sizes_K = torch.bincount(labels_N)
    return torch.where(sizes_K > 0, len(labels_N) / ((sizes_K > 0).sum() * sizes_K.clamp(min=1)), 0.0)


def num_chosen(num_images: int, share: float) -> int:
    """How many images an epoch after the first has, at least two."""
    return min(num_images, max(2, round(num_images * share)))
