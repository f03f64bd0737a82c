"""What tells symbols from the states of a network.

B rows, L length in symbols, T places, D features of a state, E embedding, P symbols of a place, H symbols
asked for, W ways to tell one, V symbols that there are but for padding.
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
    """Layers, and a comparison with the embeddings (Press and Wolf 2017)."""

    def __init__(self, network: Any, form: Form, states: str, back: int = 0, *, whole: bool = False) -> None:
        """Asks the method `states` of a network that reads `form`; `back`: how many places before its own a
        symbol is told from, zeros before the first; `whole`: it is told from the features, too.
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
        self.of_states = _layers(width, self.patch, embedding)
        self.of_features = _layers(features_width(network, form), 1, embedding) if whole else None
        self.bias_V = nn.Parameter(torch.zeros(form.symbols - 1))

    def forward(self, network: Any, symbols_BL: Tensor, asked_BL: Tensor) -> Tensor:
        """Logits [H, W, V] of the symbols where `asked_BL` is true, in order."""
        states_BTD, _ = getattr(network, self.states)(symbols_BL)
        rows_H, places_H = asked_BL.nonzero(as_tuple=True)
        states_HD = functional.pad(states_BTD, (0, 0, self.back, 0))[rows_H, places_H // self.patch]
        each_H = torch.arange(len(rows_H), device=rows_H.device)
        vectors = [self.of_states(states_HD)[each_H, places_H % self.patch]]
        if self.of_features is not None:
            vectors.append(self.of_features(network.features(symbols_BL))[rows_H, 0])
        embeddings_VE: Tensor = network.get_submodule(self.table).weight[1:]
        return functional.linear(torch.stack(vectors, 1), embeddings_VE, self.bias_V)


def _layers(width: int, patch: int, embedding: int) -> nn.Module:
    """[..., D] -> [..., P, E]."""
    return nn.Sequential(
        nn.Linear(width, patch * embedding), nn.GELU(), nn.Unflatten(1, (patch, embedding)),
        nn.LayerNorm(embedding),
    )  # fmt: skip


def mean_losses(logits_HWV: Tensor, symbols_BL: Tensor, asked_BL: Tensor) -> Tensor:
    """Of each row the mean cross-entropy of what was asked for, float32 [B], nats; 0 where nothing was."""
    ways = logits_HWV.shape[1]
    targets_HW = (symbols_BL[asked_BL].long() - 1)[:, None].expand(-1, ways)
    losses_HW = functional.cross_entropy(
        logits_HWV.float().flatten(0, 1), targets_HW.flatten(), reduction="none"
    ).unflatten(0, (-1, ways))
    losses_BL = losses_HW.new_zeros(asked_BL.shape).masked_scatter(asked_BL, losses_HW.mean(1))
    return losses_BL.sum(1) / asked_BL.sum(1).clamp(min=1)
