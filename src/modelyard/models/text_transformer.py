"""The text as patches: a Transformer (Vaswani et al. 2017).

B batch, L length in symbols, E embedding, T tokens, P embeddings of a patch, D model width, K classes.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from modelyard.models.sequence import (
    FAR_BELOW,
    SequenceConfig,
    SequenceNetwork,
    Stem,
    highest,
    mask_of,
    mean,
    patches,
    places_of,
)
from modelyard.models.transformer import Block
from modelyard.samples import TextForm


class TextTransformerConfig(SequenceConfig):
    """A pre-norm encoder with sine positions; `encoder` is the textbook's."""

    architecture: Literal["text-transformer"] = "text-transformer"
    variant: Literal["tuned", "encoder"] = "tuned"
    """`tuned`: patches, maximum and mean over tokens, and the mean of the embeddings; `encoder`: a token for
    each symbol, their mean."""
    patch: int = Field(4, ge=1, le=64)
    """Symbols of a token of `tuned`."""
    width: int = Field(64, ge=8, le=4096)
    """Model width D."""
    layers: int = Field(2, ge=1, le=64)
    """Encoder blocks."""
    heads: int = Field(4, ge=1, le=64)
    """Attention heads; must divide the width."""
    mlp_ratio: int = Field(2, ge=1, le=8)
    """Hidden width of each block's MLP over D."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> TextTransformerConfig:
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"heads ({self.heads}) and 2 must divide width ({self.width})")
        return self

    def network(self, form: TextForm, num_classes: int) -> SequenceNetwork:
        """One network that is trained, for symbols of `form`."""
        return TextTransformer(self, form.symbols, num_classes)


class TextTransformer(SequenceNetwork):
    """Patches, positions, blocks, pooling, one linear layer."""

    FORMER: ClassVar = {"embedding.": "stem.embedding.", "widen.": "stem.widen."}

    def __init__(self, config: TextTransformerConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.is_tuned = config.variant == "tuned"
        self.patch = config.patch if self.is_tuned else 1
        self.dropout = nn.Dropout(config.dropout)
        self.stem = Stem(config, num_symbols, self.patch, config.width)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        pooled = 2 * config.width + config.embedding if self.is_tuned else config.width
        self.head = nn.Linear(pooled, num_classes)

    def read(self, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """[B, L, E] -> [B, T, D]."""
        return self._attended(embedded_BLE, mask_BL1, looks_ahead=True)

    def past(self, symbols_BL: Tensor) -> tuple[Tensor, Tensor]:
        """No token attends to a later one."""
        states_BTD = self._attended(self.embedded(symbols_BL), mask_of(symbols_BL), looks_ahead=False)
        return states_BTD, self.mask(symbols_BL)

    def _attended(self, embedded_BLE: Tensor, mask_BL1: Tensor, *, looks_ahead: bool) -> Tensor:
        mask_BT1 = places_of(mask_BL1, self.patch)
        tokens_BTD: Tensor = self.stem.widen(patches(embedded_BLE, self.patch))
        tokens_BTD = tokens_BTD + sines(tokens_BTD)
        keys_B11T = ((mask_BT1 - 1) * -FAR_BELOW).transpose(1, 2)[:, None].to(tokens_BTD.dtype)
        if not looks_ahead:
            keys_B11T = keys_B11T + torch.full_like(
                keys_B11T[0, 0].expand(keys_B11T.shape[3], -1), FAR_BELOW
            ).triu(1)
        for block in self.blocks:
            tokens_BTD = block(tokens_BTD, keys_B11T)
        states_BTD: Tensor = self.norm(tokens_BTD) * mask_BT1
        return states_BTD

    def pooled(self, states_BTD: Tensor, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """The mean over tokens; if tuned, their maximum and the mean of the embeddings, too."""
        mask_BT1 = places_of(mask_BL1, self.patch)
        mean_BD = mean(states_BTD, mask_BT1)
        if not self.is_tuned:
            return mean_BD
        return torch.cat([mean_BD, highest(states_BTD, mask_BT1), mean(embedded_BLE, mask_BL1)], 1)


SLOWEST = 1000.0
"""Tokens in one turn, over 2 pi, of the slowest sine."""


def sines(tokens_BTD: Tensor) -> Tensor:
    """Sines and cosines of the places of tokens [T, D]."""
    half = tokens_BTD.shape[2] // 2
    places_T1 = torch.arange(tokens_BTD.shape[1], device=tokens_BTD.device).float()[:, None]
    rates_F = torch.exp(torch.arange(half, device=tokens_BTD.device) * (-math.log(SLOWEST) / half))
    angles_TF = places_T1 * rates_F
    return torch.cat([angles_TF.sin(), angles_TF.cos()], 1).to(tokens_BTD.dtype)
