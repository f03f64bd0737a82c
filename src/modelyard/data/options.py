"""How a folder's images are read: what a recipe's `data` part says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelyard.samples.reading import MOST_PIXELS, Fit


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """How a folder's images are brought to one form; None takes the majority's."""

    height: int | None = None
    width: int | None = None
    channels: int | None = None
    skip_unreadable: bool = False
    fit: Fit = "stretch"
    white: int | None = None
    validation_as: Literal["validation", "test"] | None = None
    max_pixels: int = MOST_PIXELS
    max_bytes: int = 32_000_000_000
    size_before: tuple[int, int] | None = None
    """Height and width of the model's champion."""
