"""The text as a series of patches: LSTMs that read it from both ends.

B batch, L length in symbols, E embedding, T time, P embeddings of a patch, D features, K classes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from modelyard.models.sequence import SequenceConfig, SymbolEmbedding, highest, mask_of, mean, patches
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

    def network(self, form: TextForm, num_classes: int) -> nn.Module:
        """One network that is trained, for symbols of `form`."""
        return NETWORKS[self.variant](self, form.symbols, num_classes)


class TextRnn(nn.Module):
    """Patches, an LSTM in each direction, maximum and mean, one linear layer."""

    def __init__(self, config: TextRnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.patch = config.patch
        self.embedding = SymbolEmbedding(config, num_symbols)
        self.dropout = nn.Dropout(config.dropout)
        self.forwards, self.backwards = (_lstm(config, config.patch) for _ in range(2))
        self.head = nn.Linear(config.embedding + 4 * config.hidden, num_classes)

    def forward(self, symbols_BL: Tensor) -> Tensor:
        """int32 [B, L] -> logits [B, K]."""
        embedded_BLE = self.dropout(self.embedding(symbols_BL))
        patches_BTP = patches(embedded_BLE, self.patch)
        mask_BT1 = patches(mask_of(symbols_BL), self.patch)[:, :, :1]
        turned_BT1 = turned(mask_BT1)
        there_BTD, _ = self.forwards(patches_BTP)
        back_BTD, _ = self.backwards(_picked(patches_BTP, turned_BT1))
        states_BTD = torch.cat([there_BTD, _picked(back_BTD, turned_BT1)], 2) * mask_BT1
        pooled = highest(states_BTD, mask_BT1), mean(states_BTD, mask_BT1)
        summary_BD = torch.cat([*pooled, mean(embedded_BLE, mask_of(symbols_BL))], 1)
        logits_BK: Tensor = self.head(self.dropout(summary_BD))
        return logits_BK


class Lstm(nn.Module):
    """Layers of LSTM over single symbols, the state at the last of them, one linear layer."""

    def __init__(self, config: TextRnnConfig, num_symbols: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = SymbolEmbedding(config, num_symbols)
        self.lstm, self.dropout = _lstm(config, 1), nn.Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, num_classes)

    def forward(self, symbols_BL: Tensor) -> Tensor:
        """int32 [B, L] -> logits [B, K]."""
        states_BLD, _ = self.lstm(self.dropout(self.embedding(symbols_BL)))
        last_B11 = ((symbols_BL != 0).sum(1) - 1).clamp(min=0)[:, None, None]
        logits_BK: Tensor = self.head(self.dropout(_picked(states_BLD, last_B11)[:, 0]))
        return logits_BK


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
