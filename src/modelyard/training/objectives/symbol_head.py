"""What tells symbols from the states of a network.

B rows, L length in symbols, T places, D features of a state, E embedding, P symbols of a place, H symbols
asked for, V symbols that there are but for padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelyard.models.blank import blank_inputs
from modelyard.samples import Form


class SymbolHead(nn.Module):
    """A layer, and a comparison with the embeddings (Press and Wolf 2017)."""

    def __init__(self, network: Any, form: Form, states: str, back: int = 0) -> None:
        """Asks the method `states` of a network that reads `form`; `back`: how many places before its own a
        symbol is told from; before the first there are zeros.
        """
        super().__init__()
        self.states, self.back, self.patch = states, back, network.patch
        with torch.no_grad():
            width = getattr(network, states)(*blank_inputs(form, 2))[0].shape[2]
        self.table, embedding = next(
            (name, part.embedding_dim)
            for name, part in network.named_modules()
            if isinstance(part, nn.Embedding) and part.num_embeddings == form.symbols
        )
        self.widen = nn.Sequential(nn.Linear(width, self.patch * embedding), nn.GELU())
        self.norm = nn.LayerNorm(embedding)
        self.bias_V = nn.Parameter(torch.zeros(form.symbols - 1))

    def forward(self, network: Any, symbols_BL: Tensor, asked_BL: Tensor) -> Tensor:
        """Logits [H, V] of the symbols where `asked_BL` is true, in order."""
        states_BTD, _ = getattr(network, self.states)(symbols_BL)
        rows_H, places_H = asked_BL.nonzero(as_tuple=True)
        states_HD = functional.pad(states_BTD, (0, 0, self.back, 0))[rows_H, places_H // self.patch]
        vectors_HPE = self.norm(self.widen(states_HD).unflatten(1, (self.patch, -1)))
        vectors_HE = vectors_HPE[torch.arange(len(rows_H), device=rows_H.device), places_H % self.patch]
        embeddings_VE: Tensor = network.get_submodule(self.table).weight[1:]
        return functional.linear(vectors_HE, embeddings_VE, self.bias_V)


def mean_losses(logits_HV: Tensor, symbols_BL: Tensor, asked_BL: Tensor) -> Tensor:
    """Of each row the mean cross-entropy of what was asked for, float32 [B], nats; 0 where nothing was."""
    targets_H = symbols_BL[asked_BL].long() - 1
    losses_H = functional.cross_entropy(logits_HV.float(), targets_H, reduction="none")
    losses_BL = losses_H.new_zeros(asked_BL.shape).masked_scatter(asked_BL, losses_H)
    return losses_BL.sum(1) / asked_BL.sum(1).clamp(min=1)
