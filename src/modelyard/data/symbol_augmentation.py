"""Random changes of a batch of symbols, on the device. B batch, L length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from modelyard.config import Config, change
from modelyard.samples.symbols import UNKNOWN

STRONG_DROP = 0.2
"""Of symbols, as `stronger` has it."""


class SymbolAugment(Config):
    """Random change of each training sample of symbols; all zero means none."""

    drop: float = Field(0.0, ge=0, lt=1)
    """Share of the symbols that are made unknown."""

    def stronger(self, _shape: Sequence[int]) -> SymbolAugment:
        """Every fifth symbol is unknown."""
        return change(self, drop=max(self.drop, STRONG_DROP))

    def livelier(self) -> SymbolAugment:
        """The same: a missing symbol is no way of writing."""
        return self

    def views(self, samples_B: Tensor, draw: torch.Generator) -> Tensor:
        """int32 symbols, padded with 0 -> the same with some of them unknown."""
        if not self.drop:
            return samples_B
        uniform_BL = torch.rand(samples_B.shape, generator=draw, device=draw.device)
        is_dropped_BL = (uniform_BL.to(samples_B.device) < self.drop) & (samples_B != 0)
        return samples_B.masked_fill(is_dropped_BL, UNKNOWN)
