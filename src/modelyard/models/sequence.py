"""What the networks that read symbols share: fields, mask, embedding, pooling.

All are exact under padding: the answer to a sample depends neither on how long its row is padded nor on the
others of its batch. Every layer's output is multiplied by the mask, or the layer reads no padding.

B batch, L length in symbols, E embedding, D features, G n-grams that end at a place, K classes.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.datasets import Split
from modelyard.models.ensemble import EnsembleConfig
from modelyard.samples.symbols import Symbols

MULTIPLIER, MODULUS = 1_000_003, 2**31 - 1
"""Of the rolling hash; products stay below 2^52, so no engine's integers overflow."""
START = 257
"""Stands before the first symbol."""
FAR_BELOW = -1e4
"""Smaller than any feature, and finite in 16 bits: what a maximum or an attention never chooses."""


class SequenceConfig(EnsembleConfig):
    """What every architecture that reads symbols may be asked for."""

    alphabet: Literal["bytes", "chars", "words"] = "bytes"
    """What the network reads a sample as; characters and words by a table learnt on the training split."""
    vocabulary: int = Field(20_000, ge=1, le=2**20)
    """Characters or words in that table, at most; the most frequent ones are kept."""
    embedding: int = Field(64, ge=1, le=1024)
    """Numbers that stand for a symbol."""
    ngrams: int = Field(1, ge=1, le=8)
    """Symbols of the longest n-gram that has an embedding of its own, added to that of its last symbol
    (of bytes: Pagnoni et al. 2024); 1 has none."""
    buckets: int = Field(8192, ge=1, le=2**20)
    """Embeddings for the n-grams of each length, which are hashed into them (Joulin et al. 2016)."""

    def symbols(self, train: Split) -> Symbols:
        """Of the alphabet, learnt of the training samples."""
        return Symbols.learnt(self.alphabet, train.samples.only(train.rows_N), self.vocabulary)


class SymbolEmbedding(nn.Module):
    """Symbols, and the n-grams that end with them, as vectors."""

    def __init__(self, config: SequenceConfig, num_symbols: int) -> None:
        super().__init__()
        self.ngrams, self.buckets = config.ngrams, config.buckets
        self.symbols = nn.Embedding(num_symbols, config.embedding, padding_idx=0)
        if self.ngrams > 1:
            self.hashed = nn.Embedding((self.ngrams - 1) * self.buckets, config.embedding)

    def forward(self, symbols_BL: Tensor) -> Tensor:
        """Integers [B, L] -> [B, L, E]; 0 where there is padding."""
        features_BLE: Tensor = self.symbols(symbols_BL)
        if self.ngrams > 1:
            features_BLE = features_BLE + self.hashed(self.places(symbols_BL)).sum(2)
        return features_BLE * mask_of(symbols_BL)

    def places(self, symbols_BL: Tensor) -> Tensor:
        """Rows of the table for the n-grams that end at each symbol, int64 [B, L, G], longest last."""
        symbols_BL = symbols_BL.long()
        hash_BL, places = symbols_BL, list[Tensor]()
        for length in range(2, self.ngrams + 1):
            before_BL = functional.pad(hash_BL, (1, 0), value=START)[:, :-1]
            hash_BL = (before_BL * MULTIPLIER + symbols_BL) % MODULUS
            places.append(hash_BL % self.buckets + (length - 2) * self.buckets)
        return torch.stack(places, 2)


def mask_of(symbols_BL: Tensor) -> Tensor:
    """1 where there is a symbol, 0 where there is padding, float32 [B, L, 1]."""
    return (symbols_BL != 0).float()[:, :, None]


def highest(features_BLD: Tensor, mask_BL1: Tensor) -> Tensor:
    """The maximum over what is no padding [B, D]; of nothing it is far below all others."""
    return (features_BLD + (mask_BL1 - 1) * -FAR_BELOW).amax(1)


def mean(features_BLD: Tensor, mask_BL1: Tensor) -> Tensor:
    """The mean over what is no padding [B, D]; 0 of nothing. `features_BLD` is 0 where there is padding."""
    mean_BD: Tensor = features_BLD.sum(1) / mask_BL1.sum(1).clamp(min=1)
    return mean_BD
