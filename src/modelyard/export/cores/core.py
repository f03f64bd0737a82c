"""What torch translates of a deployed model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Core:
    """Its input, and what is done to it before the network."""

    name: str
    example: NDArray[Any]
    """Two samples."""
    prepared: Callable[[Tensor], Tensor]
    free: tuple[tuple[int, str, int], ...] = ()
    """Axes that are free beside the batch: place, name, largest extent."""
