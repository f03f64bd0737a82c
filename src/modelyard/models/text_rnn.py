"""The text as a series of patches: LSTMs that read it from both ends.

B batch, L length in symbols, E embedding, T time, P embeddings of a patch, D features, K classes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from modelyard.models.sequence import SequenceConfig, SequenceNetwork, Stem, highest, mean, patches, places_of
from modelyard.samples import TextForm


class TextRnnConfig(SequenceConfig):
    """LSTMs over symbols (Hochreiter and Schmidhuber 1997); `lstm` is the textbook's."""

    operators: ClassVar[frozenset[str]] = frozenset({"LSTM"})
    architecture: Literal["text-rnn"] = "text-rnn"
    variant: Literal["tuned", "lstm"] = "tuned"
    """`tuned`: maximum and mean over time of both directions, and mean of the embeddings; `lstm`: forwards
    alone, its state at the last symbol."""
    hidden: int = Field(64, ge=1, le=4096)
    """Units of each layer and direction."""
    layers: int = Field(1, ge=1, le=8)
    """Stacked LSTM layers."""
    patch: int = Field(4, ge=1, le=64)
    """Symbols that `tuned` reads at each time step."""

    def network(self, form: TextForm, num_classes: int) -> SequenceNetwork:
        """One network that is trained, for symbols of `form`."""
        return NETWORKS[self.variant](self, form.symbols, num_classes)


class TextRnn(SequenceNetwork):
    """Patches, an LSTM in each direction, maximum and mean, one linear layer."""

    FORMER: ClassVar = {
        "embedding.": "stem.embedding.",
        "forwards.": "blocks.0.forwards.", "backwards.": "blocks.0.backwards.",
    }  # fmt: skip

    def __init__(self, config: TextRnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.patch, self.dropout = config.patch, nn.Dropout(config.dropout)
        self.stem, self.blocks = Stem(config, num_symbols), nn.ModuleList([BothWays(config)])
        self.head = nn.Linear(config.embedding + 4 * config.hidden, num_classes)

    def read(self, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """[B, L, E] -> [B, T, D]."""
        patches_BTP, mask_BT1 = patches(embedded_BLE, self.patch), places_of(mask_BL1, self.patch)
        states_BTD: Tensor = self.blocks[0](patches_BTP, mask_BT1)
        return states_BTD

    def past(self, symbols_BL: Tensor) -> tuple[Tensor, Tensor]:
        """What the one that reads backwards says is 0."""
        states_BTD, mask_BT1 = self.states(symbols_BL)
        there_BTD, back_BTD = states_BTD.chunk(2, 2)
        return torch.cat([there_BTD, torch.zeros_like(back_BTD)], 2), mask_BT1

    def pooled(self, states_BTD: Tensor, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """Maximum and mean over time, and the mean of the embeddings."""
        mask_BT1 = places_of(mask_BL1, self.patch)
        pooled = highest(states_BTD, mask_BT1), mean(states_BTD, mask_BT1), mean(embedded_BLE, mask_BL1)
        return torch.cat(pooled, 1)


class BothWays(nn.Module):
    """An LSTM that reads forwards beside one that reads backwards."""

    def __init__(self, config: TextRnnConfig) -> None:
        super().__init__()
        self.forwards, self.backwards = (_lstm(config, config.patch) for _ in range(2))

    def forward(self, patches_BTP: Tensor, mask_BT1: Tensor) -> Tensor:
        """[B, T, P] -> [B, T, D], 0 for padding."""
        turned_BT1 = turned(mask_BT1)
        there_BTD, _ = self.forwards(patches_BTP)
        back_BTD, _ = self.backwards(_picked(patches_BTP, turned_BT1))
        return torch.cat([there_BTD, _picked(back_BTD, turned_BT1)], 2) * mask_BT1


class Lstm(SequenceNetwork):
    """Layers of LSTM over single symbols, the state at the last of them, one linear layer."""

    FORMER: ClassVar = {"embedding.": "stem.embedding.", "lstm.": "blocks.0."}
    patch = 1

    def __init__(self, config: TextRnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.stem, self.blocks = Stem(config, num_symbols), nn.ModuleList([_lstm(config, 1)])
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, num_classes)

    def read(self, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """[B, L, E] -> [B, L, D]."""
        states_BLD: Tensor = self.blocks[0](embedded_BLE)[0]
        return states_BLD

    def pooled(self, states_BTD: Tensor, embedded_BLE: Tensor, mask_BL1: Tensor) -> Tensor:
        """The state at the last symbol."""
        last_B11 = (mask_BL1.sum(1, keepdim=True).long() - 1).clamp(min=0)
        return _picked(states_BTD, last_B11)[:, 0]


def turned(mask_BT1: Tensor) -> Tensor:
    """For each place the one that it has when the text is read from its end; padding stays at the end."""
    places_T1 = torch.arange(mask_BT1.shape[1], device=mask_BT1.device)[:, None]
    lengths_B11 = mask_BT1.sum(1, keepdim=True).long()
    return torch.where(places_T1 < lengths_B11, lengths_B11 - 1 - places_T1, places_T1)


def _picked(features_BTD: Tensor, places_BT1: Tensor) -> Tensor:
    return features_BTD.gather(1, places_BT1.expand(-1, -1, features_BTD.shape[2]))


def _lstm(config: TextRnnConfig, patch: int) -> nn.LSTM:
    lstm = nn.LSTM(patch * config.embedding, config.hidden, config.layers, batch_first=True)
    for layer in range(config.layers):  # an open forget gate at first: Jozefowicz et al. 2015
        getattr(lstm, f"bias_ih_l{layer}").data[config.hidden : 2 * config.hidden].fill_(1.0)
    return lstm


NETWORKS = {"tuned": TextRnn, "lstm": Lstm}
