"""What tells symbols from the states, or the features, of a network.

B rows, L length in symbols, T places, D features, E embedding, P symbols of a place, H symbols asked for, V
symbols that there are but for padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelyard.models.blank import blank_inputs
from modelyard.samples import Form
from modelyard.training.objectives.pretext import features_width


class SymbolHead(nn.Module):
    """Layers, and a comparison with the embeddings (Press and Wolf 2017). Asked for nothing else, it tells
    symbols from the features: what a text is about.
    """

    def __init__(self, network: Any, form: Form, width: int = 0, patch: int = 1) -> None:
        super().__init__()
        self.table, embedding = next(
            (name, part.embedding_dim)
            for name, part in network.named_modules()
            if isinstance(part, nn.Embedding) and part.num_embeddings == form.symbols
        )
        self.layers = nn.Sequential(
            nn.Linear(width or features_width(network, form), patch * embedding), nn.GELU(),
            nn.Unflatten(1, (patch, embedding)), nn.LayerNorm(embedding),
        )  # fmt: skip
        self.bias_V = nn.Parameter(torch.zeros(form.symbols - 1))

    def forward(self, network: Any, symbols_BL: Tensor, asked_BL: Tensor) -> Tensor:
        """Logits [H, V] of the symbols where `asked_BL` is true, in order."""
        vectors_HE = self.vectors(network, symbols_BL, *asked_BL.nonzero(as_tuple=True))
        embeddings_VE: Tensor = network.get_submodule(self.table).weight[1:]
        return functional.linear(vectors_HE, embeddings_VE, self.bias_V)

    def vectors(self, network: Any, symbols_BL: Tensor, rows_H: Tensor, _places_H: Tensor) -> Tensor:
        """[H, E], all of a row alike."""
        vectors_HE: Tensor = self.layers(network.features(symbols_BL))[rows_H, 0]
        return vectors_HE


class PlaceHead(SymbolHead):
    """Tells each symbol from a state: from that of its own place, or of one that is `back` places before it,
    where there are zeros before the first.
    """

    def __init__(self, network: Any, form: Form, states: str, back: int = 0) -> None:
        """`states`: the method of a network that reads `form`."""
        with torch.no_grad():
            width = getattr(network, states)(*blank_inputs(form, 2))[0].shape[2]
        super().__init__(network, form, width, network.patch)
        self.states, self.back, self.patch = states, back, network.patch

    def vectors(self, network: Any, symbols_BL: Tensor, rows_H: Tensor, places_H: Tensor) -> Tensor:
        """[H, E]."""
        states_BTD, _ = getattr(network, self.states)(symbols_BL)
        states_HD = functional.pad(states_BTD, (0, 0, self.back, 0))[rows_H, places_H // self.patch]
        each_H = torch.arange(len(rows_H), device=rows_H.device)
        vectors_HE: Tensor = self.layers(states_HD)[each_H, places_H % self.patch]
        return vectors_HE


def mean_losses(logits_HV: Tensor, symbols_BL: Tensor, asked_BL: Tensor) -> Tensor:
    """Of each row the mean cross-entropy of what was asked for, float32 [B], nats; 0 where nothing was."""
    targets_H = symbols_BL[asked_BL].long() - 1
    losses_H = functional.cross_entropy(logits_HV.float(), targets_H, reduction="none")
    losses_BL = losses_H.new_zeros(asked_BL.shape).masked_scatter(asked_BL, losses_H)
    return losses_BL.sum(1) / asked_BL.sum(1).clamp(min=1)
