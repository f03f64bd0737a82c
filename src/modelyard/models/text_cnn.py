"""The text as a line: convolutions.

B batch, L length in symbols, T places, E embedding, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from modelyard.models.sequence import SequenceConfig, SequenceNetwork, Stem, highest, mean, patches, places_of
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

    def network(self, form: TextForm, num_classes: int) -> SequenceNetwork:
        """One network that is trained, for symbols of `form`."""
        return NETWORKS[self.variant](self, form.symbols, num_classes)


class TextCnn(SequenceNetwork):
    """Residual convolutions; their maximum and mean, and the mean of the embeddings, for one linear layer."""

    FORMER: ClassVar = {"embedding.": "stem.embedding.", "widen.": "stem.widen.", "convolutions.": "blocks."}

    def __init__(self, config: TextCnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.patch, self.dropout = config.patch, nn.Dropout(config.dropout)
        self.reach = config.kernel // 2
        self.stem = Stem(config, num_symbols, config.patch, config.width)
        self.blocks = nn.ModuleList(
            nn.Conv1d(config.width, config.width, config.kernel, padding=config.kernel // 2)
            for _ in range(config.layers)
        )
        self.head = nn.Linear(config.embedding + 2 * config.width, num_classes)

    @property
    def ahead(self) -> int:
        """Each convolution sees half of its places ahead."""
        return len(self.blocks) * self.reach

    def read(self, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """[B, L, E] -> [B, T, D]."""
        mask_BT1 = places_of(mask_BL1, self.patch)
        states_BTD = functional.gelu(self.stem.widen(patches(embedded_BLE, self.patch))) * mask_BT1
        for convolution in self.blocks:
            changed_BDT = convolution(states_BTD.transpose(1, 2))
            states_BTD = (states_BTD + functional.gelu(changed_BDT.transpose(1, 2))) * mask_BT1
        return states_BTD

    def pooled(self, states_BTD: Tensor, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """Maximum and mean over time, and the mean of the embeddings."""
        mask_BT1 = places_of(mask_BL1, self.patch)
        pooled = highest(states_BTD, mask_BT1), mean(states_BTD, mask_BT1), mean(embedded_BLE, mask_BL1)
        return torch.cat(pooled, 1)


class Kim(SequenceNetwork):
    """One layer of convolutions of several widths, their maxima over time, one linear layer."""

    FORMER: ClassVar = {"embedding.": "stem.embedding.", "convolutions.": "blocks.0."}
    patch, drops_embeddings = 1, False

    def __init__(self, config: TextCnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.stem = Stem(config, num_symbols)
        convolutions = [nn.Conv1d(config.embedding, config.width, kernel) for kernel in KIM_KERNELS]
        self.blocks = nn.ModuleList([nn.ModuleList(convolutions)])
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(len(KIM_KERNELS) * config.width, num_classes)

    def read(self, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """[B, L, E] -> [B, L, D], all widths side by side."""
        embedded_BEL = embedded_BLE.transpose(1, 2)
        states = [
            convolution(functional.pad(embedded_BEL, (kernel - 1, 0))).relu()
            for convolution, kernel in zip(self.blocks[0].children(), KIM_KERNELS, strict=True)
        ]
        return torch.cat(states, 1).transpose(1, 2)

    def pooled(self, states_BTD: Tensor, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """The maximum over time."""
        return highest(states_BTD, mask_BL1)


class CharCnn(SequenceNetwork):
    """Six layers of convolutions, three of them followed by maxima over 3; where the paper has texts of one
    length, their maximum; three linear layers.
    """

    FORMER: ClassVar = {
        "embedding.": "stem.embedding.", "convolutions.": "blocks.",
        "head.0.": "blocks.6.0.", "head.3.": "blocks.7.0.", "head.6.": "head.",
    }  # fmt: skip
    patch, drops_embeddings, ahead = 27, False, 2

    def __init__(self, config: TextCnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        width = config.width
        self.stem, self.dropout = Stem(config, num_symbols), nn.Dropout(config.dropout)
        convolutions = [
            nn.Conv1d(width if layer else config.embedding, width, kernel, padding=kernel // 2)
            for layer, kernel in enumerate(CHAR_KERNELS)
        ]
        linear = [nn.Sequential(nn.Linear(size, 4 * width), nn.ReLU()) for size in (width, 4 * width)]
        self.blocks = nn.ModuleList([*convolutions, *linear])
        self.head = nn.Linear(4 * width, num_classes)

    def read(self, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """[B, L, E] -> [B, T, D]."""
        states_BTD = embedded_BLE
        for layer, convolution in enumerate(list(self.blocks)[: len(CHAR_KERNELS)]):
            changed_BDT = convolution(states_BTD.transpose(1, 2)).relu()
            states_BTD = changed_BDT.transpose(1, 2) * mask_BL1
            if layer in POOLED:
                states_BTD, mask_BL1 = _of_threes(states_BTD), _of_threes(mask_BL1)
        return states_BTD

    def pooled(self, states_BTD: Tensor, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """What two linear layers make of the maximum over time."""
        first, second = list(self.blocks)[len(CHAR_KERNELS) :]
        hidden_BD = self.dropout(first(highest(states_BTD, places_of(mask_BL1, self.patch))))
        features_BD: Tensor = second(hidden_BD)
        return features_BD


def _of_threes(features_BLD: Tensor) -> Tensor:
    """The maximum of each three places, where nothing is below 0."""
    return torch.unflatten(patches(features_BLD, 3), 2, (3, features_BLD.shape[2])).amax(2)


KIM_KERNELS = (3, 4, 5)
CHAR_KERNELS, POOLED = (7, 7, 3, 3, 3, 3), (0, 1, 5)
NETWORKS: dict[str, Callable[[TextCnnConfig, int, int], SequenceNetwork]] = {
    "tuned": TextCnn,
    "textcnn": Kim,
    "charcnn": CharCnn,
}
