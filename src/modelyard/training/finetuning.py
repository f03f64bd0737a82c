"""How a training goes on from weights that it is given."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelyard.config import Config


class FinetuneConfig(Config):
    """What is trained of a network that starts from brought or pre-trained weights."""

    mode: Literal["full", "head", "head-then-full", "lora"] = "full"
    """All weights; the last layer on fixed features; first that, then all; or that, then
    low-rank changes alone, which are merged before export (Hu et al. 2022)."""
    rank: int = Field(8, ge=1, le=1024)
    """Of the changes of `lora`."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Learning rate of each block over that of the one above it; the head has the whole rate."""
