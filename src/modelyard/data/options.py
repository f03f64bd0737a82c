"""How files of one's own are read: what a recipe's `data` part says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelyard.samples.reading import MOST_PIXELS, Fit


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """How the images of a folder are brought to one form (None takes the majority's), and what is read of
    tables that hold their samples themselves.
    """

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
    sample_column: str | None = None
    """Of a table that holds its samples; None: found by its name."""
    label_column: str | None = None
    longest: int | None = None
    """Characters of a text; None: 1024."""
