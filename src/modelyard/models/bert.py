"""A Transformer over subwords as BERT (Devlin et al. 2019) and its kin are published: each layer's norm comes
after it.

B batch, L length in subwords, D model width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.datasets import Split
from modelyard.models.given import GivenConfig
from modelyard.models.network import Network
from modelyard.models.sequence import FAR_BELOW, INITIAL, highest, mask_of, mean
from modelyard.models.transformer import Block
from modelyard.samples import Form
from modelyard.samples.subwords import MOST_ADDED, MOST_SUBWORDS
from modelyard.samples.symbols import SUBWORDS, Symbols
from modelyard.samples.text_encodings import Ids


class BertConfig(GivenConfig):
    """Most options are as config.json beside the weights says."""

    is_brought: ClassVar[bool] = True
    architecture: Literal["bert"] = "bert"
    width: int = Field(384, ge=8, le=8192)
    """Model width D."""
    layers: int = Field(6, ge=1, le=64)
    """Encoder blocks."""
    heads: int = Field(12, ge=1, le=128)
    """Attention heads; must divide the width."""
    mlp_ratio: int = Field(4, ge=1, le=16)
    """Hidden width of each block's MLP over D."""
    positions: int = Field(512, ge=MOST_ADDED, le=MOST_SUBWORDS)
    """Subwords of the longest text; what is longer is cut."""
    epsilon: float = Field(1e-12, gt=0, le=1e-2)
    """Added to the variances of layer norms."""
    pooling: Literal["mean", "first", "highest"] = "mean"
    """What the head takes: the mean of a text's subwords, the first of them (`[CLS]`), or their maximum."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout of embeddings, after attention and MLPs, and before the head."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> BertConfig:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """No graph makes subwords."""
        return (Ids.name,)

    def symbols(self, train: Split) -> Symbols:
        """Those of the tokenizer that comes with the weights, and none before."""
        return Symbols(SUBWORDS)

    def build(self, form: Form, num_classes: int) -> nn.Module:
        """A fresh model for subwords of `form`."""
        return Bert(self, form.symbols, num_classes)


class Bert(Network):
    """Embeddings, blocks, pooling, one linear layer."""

    patch = 1
    """Symbols of a state."""

    def __init__(self, config: BertConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.stem = Embedding(config, num_symbols)
        self.blocks = nn.ModuleList(PostNormBlock(config) for _ in range(config.layers))
        self.pooled = POOLINGS[config.pooling]
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, num_classes)

    def states(self, symbols_BL: Tensor) -> tuple[Tensor, Tensor]:
        """int32 [B, L] -> [B, L, D] and the mask [B, L, 1], 1 where there is a symbol."""
        mask_BL1, tokens_BLD = mask_of(symbols_BL), self.stem(symbols_BL)
        keys_B11L = ((mask_BL1 - 1) * -FAR_BELOW).transpose(1, 2)[:, None].to(tokens_BLD.dtype)
        for block in self.blocks:
            tokens_BLD = block(tokens_BLD, keys_B11L)
        return tokens_BLD * mask_BL1, mask_BL1

    def features(self, symbols_BL: Tensor) -> Tensor:
        """int32 [B, L] -> what the head takes [B, D]."""
        return self.pooled(*self.states(symbols_BL))


class Embedding(nn.Module):
    """Subwords and places; an embedding of segments, of which a text is the first, is part of the places'."""

    def __init__(self, config: BertConfig, num_symbols: int) -> None:
        super().__init__()
        self.symbols = nn.Embedding(num_symbols, config.width)
        self.positions = nn.Embedding(config.positions, config.width)
        for table in (self.symbols, self.positions):
            nn.init.normal_(table.weight, std=INITIAL)
        self.norm = nn.LayerNorm(config.width, config.epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, symbols_BL: Tensor) -> Tensor:
        """int32 [B, L] -> [B, L, D]."""
        places_L = torch.arange(symbols_BL.shape[1], device=symbols_BL.device)
        places_L = places_L.clamp(max=self.positions.num_embeddings - 1)  # beyond it there is but padding
        tokens_BLD: Tensor = self.dropout(self.norm(self.symbols(symbols_BL) + self.positions(places_L)))
        return tokens_BLD


class PostNormBlock(Block):
    """Attention and MLP, each around a residual and before a layer norm."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config.width, config.heads, config.mlp_ratio)
        self.attention_norm.eps = self.mlp_norm.eps = config.epsilon
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens_BTD: Tensor, keys_B11T: Tensor | None = None) -> Tensor:
        """[B, T, D] -> [B, T, D]; `keys_B11T` is added to what each token attends to."""
        _, num_tokens, width = tokens_BTD.shape
        qkv_BTD = self.qkv(tokens_BTD)
        qkv_3BNTD = qkv_BTD.reshape(-1, num_tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv_3BNTD.unbind(0)
        mixed_BNTD = functional.scaled_dot_product_attention(query, key, value, keys_B11T)
        mixed_BTD = self.out(mixed_BNTD.transpose(1, 2).reshape(-1, num_tokens, width))
        tokens_BTD = self.attention_norm(tokens_BTD + self.dropout(mixed_BTD))
        result_BTD: Tensor = self.mlp_norm(tokens_BTD + self.dropout(self.mlp(tokens_BTD)))
        return result_BTD


def _first(states_BTD: Tensor, mask_BT1: Tensor) -> Tensor:
    return states_BTD[:, 0]


POOLINGS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean,
    "first": _first,
    "highest": highest,
}
