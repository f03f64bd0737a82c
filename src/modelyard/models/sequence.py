"""What the networks that read symbols share: fields, mask, embedding, pooling.

All are exact under padding: the answer to a sample depends neither on how long its row is padded nor on the
others of its batch. Every layer's output is multiplied by the mask, or the layer reads no padding.

B batch, L length in symbols, E embedding, D features, G n-grams that end at a place, T patches,
P embeddings of a patch, K classes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.datasets import Split
from modelyard.models.ensemble import EnsembleConfig
from modelyard.models.network import Network
from modelyard.models.ngrams import hashed_ngrams, hashed_words, small_letters
from modelyard.samples.symbols import Alphabet, Symbols
from modelyard.samples.text_encodings import RawBytes, Strings

INITIAL = 0.02
"""Standard deviation of embeddings at first: rare ones, which hardly move, then say little."""
FAR_BELOW = -1e4
"""Smaller than any feature, and finite in 16 bits: what a maximum or an attention never chooses."""


class SequenceConfig(EnsembleConfig):
    """What every architecture that reads symbols may be asked for."""

    alphabet: Alphabet = "bytes"
    """What the network reads a sample as; characters and words by a table learnt on the training split."""
    vocabulary: int = Field(20_000, ge=1, le=2**20)
    """Characters or words in that table, at most; the most frequent ones are kept."""
    embedding: int = Field(64, ge=1, le=1024)
    """Numbers that stand for a symbol."""
    ngrams: int = Field(1, ge=1, le=8)
    """Symbols of the longest n-gram that has an embedding of its own, added to that of its last symbol
    (of bytes: Pagnoni et al. 2024); 1 has none."""
    words: int = Field(0, ge=0, le=2)
    """Of bytes: 1 adds an embedding of the word up to each byte, 2 one of it with the word before, too. To
    n-grams and words of bytes A to Z are a to z."""
    buckets: int = Field(16_384, ge=1, le=2**20)
    """Embeddings for each of these, which are hashed into them (Joulin et al. 2016)."""
    ngram_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the n-grams and words that are left out in training."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Dropout of embeddings and before the last layer."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """No graph makes words of bytes."""
        return (Strings.name,) if self.alphabet == "words" else (Strings.name, RawBytes.name)

    def symbols(self, train: Split) -> Symbols:
        """Of the alphabet, learnt of the training samples."""
        return Symbols.learnt(self.alphabet, train.samples.only(train.rows_N), self.vocabulary)


class SymbolEmbedding(nn.Module):
    """Symbols, and the n-grams and words that end with them, as vectors."""

    def __init__(self, config: SequenceConfig, num_symbols: int) -> None:
        super().__init__()
        self.of_bytes = config.alphabet == "bytes"
        self.ngrams, self.words = config.ngrams, config.words if self.of_bytes else 0
        self.buckets, self.dropout = config.buckets, config.ngram_dropout
        self.symbols = nn.Embedding(num_symbols, config.embedding, padding_idx=0)
        nn.init.normal_(self.symbols.weight, std=INITIAL)
        if tables := self.ngrams - 1 + self.words:
            self.hashed = nn.Embedding(tables * self.buckets, config.embedding)
            nn.init.normal_(self.hashed.weight, std=INITIAL)

    def forward(self, symbols_BL: Tensor) -> Tensor:
        """Integers [B, L] -> [B, L, E]; 0 where there is padding."""
        features_BLE: Tensor = self.symbols(symbols_BL)
        if self.ngrams > 1 or self.words:
            features_BLE = features_BLE + self._of_ngrams(self.places(symbols_BL))
        return features_BLE * mask_of(symbols_BL)

    def _of_ngrams(self, places_BLG: Tensor) -> Tensor:
        """The sum of their embeddings [B, L, E], in training without some of them."""
        features_BLGE: Tensor = self.hashed(places_BLG)
        if self.training and self.dropout:
            is_kept_BLG = torch.rand(places_BLG.shape, device=places_BLG.device) >= self.dropout
            features_BLGE = features_BLGE * (is_kept_BLG / (1 - self.dropout))[..., None]
        return features_BLGE.sum(2)

    def places(self, symbols_BL: Tensor) -> Tensor:
        """Rows of the table for the n-grams, shortest first, and words that end at each symbol: int64
        [B, L, G].
        """
        symbols_BL = small_letters(symbols_BL.long()) if self.of_bytes else symbols_BL.long()
        hashes = hashed_ngrams(symbols_BL, self.ngrams)
        if self.words:
            hashes += hashed_words(symbols_BL)[: self.words]
        return torch.stack(
            [hash_BL % self.buckets + table * self.buckets for table, hash_BL in enumerate(hashes)], 2
        )


class SequenceNetwork(Network):
    """Embeddings, states of the places that a sample is read in, what is pooled of both."""

    stem: Stem
    patch: int
    """Symbols of one place."""
    drops_embeddings: ClassVar[bool] = True
    """Whether they have the dropout, too."""

    def features(self, symbols_BL: Tensor) -> Tensor:
        """Integers [B, L] -> [B, D]."""
        embedded_BLE = self.embedded(symbols_BL)
        return self.pooled(self.read(embedded_BLE, mask_of(symbols_BL)), embedded_BLE, mask_of(symbols_BL))

    def states(self, symbols_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Integers [B, L] -> a vector for each place [B, T, D], 0 for padding, and which are none
        [B, T, 1].
        """
        mask_BT1 = self.mask(symbols_BL)
        return self.read(self.embedded(symbols_BL), mask_of(symbols_BL)) * mask_BT1, mask_BT1

    @property
    def ahead(self) -> int:
        """How many places after its own a state of `past` has seen."""
        return 0

    def past(self, symbols_BL: Tensor) -> tuple[Tensor, Tensor]:
        """As `states`, each of them made without what comes after it, but for `ahead` places."""
        return self.states(symbols_BL)

    def mask(self, symbols_BL: Tensor) -> Tensor:
        """1 for each place with a symbol, 0 for padding, float32 [B, T, 1]."""
        return places_of(mask_of(symbols_BL), self.patch)

    def embedded(self, symbols_BL: Tensor) -> Tensor:
        """Integers [B, L] -> [B, L, E]."""
        embedded_BLE: Tensor = self.stem.embedding(symbols_BL)
        return self.dropout(embedded_BLE) if self.drops_embeddings else embedded_BLE

    @abstractmethod
    def read(self, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """What stem and blocks make of embeddings [B, T, D]."""

    @abstractmethod
    def pooled(self, states_BTD: Tensor, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """What the head is given [B, D]."""


class Stem(nn.Module):
    """The embedding; where there are patches of it, a linear layer for them."""

    def __init__(self, config: SequenceConfig, num_symbols: int, patch: int = 0, width: int = 0) -> None:
        super().__init__()
        self.embedding = SymbolEmbedding(config, num_symbols)
        if width:
            self.widen = nn.Linear(patch * config.embedding, width)


def mask_of(symbols_BL: Tensor) -> Tensor:
    """1 where there is a symbol, 0 where there is padding, float32 [B, L, 1]."""
    return (symbols_BL != 0).float()[:, :, None]


def patches(features_BLE: Tensor, size: int) -> Tensor:
    """Each `size` symbols side by side [B, T, P], the last ones with zeros: none overlaps another."""
    batch, length, width = features_BLE.shape
    if size == 1:
        return features_BLE
    tokens = (length + size - 1) // size
    padded_BLE = functional.pad(features_BLE, (0, 0, 0, size - 1))[:, : tokens * size]
    return padded_BLE.reshape(batch, tokens, size * width)


def places_of(mask_BL1: Tensor, size: int) -> Tensor:
    """The mask of patches [B, T, 1]."""
    return patches(mask_BL1, size)[:, :, :1]


def highest(features_BLD: Tensor, mask_BL1: Tensor) -> Tensor:
    """The maximum over what is no padding [B, D]; 0 of nothing."""
    return (features_BLD + (mask_BL1 - 1) * -FAR_BELOW).amax(1) * mask_BL1.amax(1)


def mean(features_BLD: Tensor, mask_BL1: Tensor) -> Tensor:
    """The mean over what is no padding [B, D]; 0 of nothing. `features_BLD` is 0 where there is padding."""
    mean_BD: Tensor = features_BLD.sum(1) / mask_BL1.sum(1).clamp(min=1)
    return mean_BD
