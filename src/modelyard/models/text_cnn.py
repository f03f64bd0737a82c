"""The text as a line: convolutions. B batch, L length in symbols, E embedding, D features, K classes."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from modelyard.models.sequence import SequenceConfig, SymbolEmbedding, highest, mask_of, mean
from modelyard.samples import TextForm


class TextCnnConfig(SequenceConfig):
    """Convolutions over symbols; `textcnn` is Kim's (2014), `charcnn` that of Zhang et al. (2015)."""

    architecture: Literal["text-cnn"] = "text-cnn"
    variant: Literal["tuned", "textcnn", "charcnn"] = "tuned"
    """`tuned`: residual convolutions, and beside them the mean of the embeddings; `textcnn`: maxima of one
    layer of three widths; `charcnn`: six layers, the length divided by 27."""
    width: int = Field(96, ge=1, le=4096)
    """Features D of each layer."""
    layers: int = Field(2, ge=0, le=32)
    """Convolutions of `tuned`."""
    kernel: int = Field(3, ge=1, le=31)
    """Symbols that a convolution of `tuned` looks at; odd."""

    def network(self, form: TextForm, num_classes: int) -> nn.Module:
        """One network that is trained, for symbols of `form`."""
        return NETWORKS[self.variant](self, form.symbols, num_classes)


class TextCnn(nn.Module):
    """Residual convolutions; their maximum and mean, and the mean of the embeddings, for one linear layer."""

    def __init__(self, config: TextCnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = SymbolEmbedding(config, num_symbols)
        self.dropout = nn.Dropout(config.dropout)
        self.widen = nn.Linear(config.embedding, config.width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.width, config.width, config.kernel, padding=config.kernel // 2)
            for _ in range(config.layers)
        )
        self.head = nn.Linear(config.embedding + 2 * config.width, num_classes)

    def forward(self, symbols_BL: Tensor) -> Tensor:
        """int32 [B, L] -> logits [B, K]."""
        mask_BL1 = mask_of(symbols_BL)
        embedded_BLE = self.dropout(self.embedding(symbols_BL))
        features_BLD = functional.gelu(self.widen(embedded_BLE)) * mask_BL1
        for convolution in self.convolutions:
            changed_BDL = convolution(features_BLD.transpose(1, 2))
            features_BLD = (features_BLD + functional.gelu(changed_BDL.transpose(1, 2))) * mask_BL1
        pooled = highest(features_BLD, mask_BL1), mean(features_BLD, mask_BL1), mean(embedded_BLE, mask_BL1)
        logits_BK: Tensor = self.head(self.dropout(torch.cat(pooled, 1)))
        return logits_BK


NETWORKS = {"tuned": TextCnn, "textcnn": TextCnn, "charcnn": TextCnn}
