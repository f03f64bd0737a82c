"""The text as a line: convolutions.

B batch, L length in symbols, T places, E embedding, D features, K classes.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from modelyard.models.sequence import SequenceConfig, SymbolEmbedding, highest, mask_of, mean, patches
from modelyard.samples import TextForm


class TextCnnConfig(SequenceConfig):
    """Convolutions over symbols; `textcnn` is Kim's (2014), `charcnn` that of Zhang et al. (2015)."""

    architecture: Literal["text-cnn"] = "text-cnn"
    variant: Literal["tuned", "textcnn", "charcnn"] = "tuned"
    """`tuned`: residual convolutions, and beside them the mean of the embeddings; `textcnn`: maxima of one
    layer of three widths; `charcnn`: six layers, which divide the length by 27."""
    patch: int = Field(1, ge=1, le=64)
    """Symbols side by side in one place of `tuned`: the more, the faster, and the further a layer sees."""
    width: int = Field(64, ge=1, le=4096)
    """Features D of each layer."""
    layers: int = Field(2, ge=0, le=32)
    """Convolutions of `tuned`."""
    kernel: int = Field(3, ge=1, le=31)
    """Places that a convolution of `tuned` looks at, an odd number."""

    @model_validator(mode="after")
    def _kernels_are_odd(self) -> TextCnnConfig:
        if self.kernel % 2 == 0:
            raise ValueError(
                f"kernel ({self.kernel}) must be odd: as much is seen before a place as after it"
            )
        return self

    def network(self, form: TextForm, num_classes: int) -> nn.Module:
        """One network that is trained, for symbols of `form`."""
        return NETWORKS[self.variant](self, form.symbols, num_classes)


class TextCnn(nn.Module):
    """Residual convolutions; their maximum and mean, and the mean of the embeddings, for one linear layer."""

    def __init__(self, config: TextCnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.patch = config.patch
        self.embedding = SymbolEmbedding(config, num_symbols)
        self.dropout = nn.Dropout(config.dropout)
        self.widen = nn.Linear(config.patch * config.embedding, config.width)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.width, config.width, config.kernel, padding=config.kernel // 2)
            for _ in range(config.layers)
        )
        self.head = nn.Linear(config.embedding + 2 * config.width, num_classes)

    def forward(self, symbols_BL: Tensor) -> Tensor:
        """int32 [B, L] -> logits [B, K]."""
        mask_BL1 = mask_of(symbols_BL)
        embedded_BLE = self.dropout(self.embedding(symbols_BL))
        mask_BT1 = patches(mask_BL1, self.patch)[:, :, :1]
        features_BTD = functional.gelu(self.widen(patches(embedded_BLE, self.patch))) * mask_BT1
        for convolution in self.convolutions:
            changed_BDT = convolution(features_BTD.transpose(1, 2))
            features_BTD = (features_BTD + functional.gelu(changed_BDT.transpose(1, 2))) * mask_BT1
        pooled = highest(features_BTD, mask_BT1), mean(features_BTD, mask_BT1), mean(embedded_BLE, mask_BL1)
        logits_BK: Tensor = self.head(self.dropout(torch.cat(pooled, 1)))
        return logits_BK


class Kim(nn.Module):
    """One layer of convolutions of several widths, their maxima over time, one linear layer."""

    def __init__(self, config: TextCnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = SymbolEmbedding(config, num_symbols)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.embedding, config.width, kernel) for kernel in KIM_KERNELS
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(len(KIM_KERNELS) * config.width, num_classes)

    def forward(self, symbols_BL: Tensor) -> Tensor:
        """int32 [B, L] -> logits [B, K]."""
        mask_BL1 = mask_of(symbols_BL)
        embedded_BEL = self.embedding(symbols_BL).transpose(1, 2)
        maxima = []
        for convolution, kernel in zip(self.convolutions, KIM_KERNELS, strict=True):
            features_BDL = convolution(functional.pad(embedded_BEL, (kernel - 1, 0))).relu()
            maxima.append(highest(features_BDL.transpose(1, 2), mask_BL1))
        logits_BK: Tensor = self.head(self.dropout(torch.cat(maxima, 1)))
        return logits_BK


class CharCnn(nn.Module):
    """Six layers of convolutions, three of them followed by maxima over 3; where the paper has texts of one
    length, their maximum; three linear layers.
    """

    def __init__(self, config: TextCnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        width = config.width
        self.embedding = SymbolEmbedding(config, num_symbols)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width if layer else config.embedding, width, kernel, padding=kernel // 2)
            for layer, kernel in enumerate(CHAR_KERNELS)
        )
        self.head = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Dropout(config.dropout),
            nn.Linear(4 * width, 4 * width), nn.ReLU(), nn.Dropout(config.dropout),
            nn.Linear(4 * width, num_classes),
        )  # fmt: skip

    def forward(self, symbols_BL: Tensor) -> Tensor:
        """int32 [B, L] -> logits [B, K]."""
        mask_BL1, features_BLD = mask_of(symbols_BL), self.embedding(symbols_BL)
        for layer, convolution in enumerate(self.convolutions):
            changed_BDL = convolution(features_BLD.transpose(1, 2)).relu()
            features_BLD = changed_BDL.transpose(1, 2) * mask_BL1
            if layer in POOLED:
                features_BLD, mask_BL1 = _of_threes(features_BLD), _of_threes(mask_BL1)
        logits_BK: Tensor = self.head(highest(features_BLD, mask_BL1))
        return logits_BK


def _of_threes(features_BLD: Tensor) -> Tensor:
    """The maximum of each three places, where nothing is below 0."""
    return torch.unflatten(patches(features_BLD, 3), 2, (3, features_BLD.shape[2])).amax(2)


KIM_KERNELS = (3, 4, 5)
CHAR_KERNELS, POOLED = (7, 7, 3, 3, 3, 3), (0, 1, 5)
NETWORKS = {"tuned": TextCnn, "textcnn": Kim, "charcnn": CharCnn}
