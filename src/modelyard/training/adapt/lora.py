"""Low-rank changes of frozen weights (Hu et al. 2022), merged into them exactly. R rank."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from modelyard.errors import TrainingError
from modelyard.evaluation.predict import predict_logits
from modelyard.training.adapt.tuning import Tuning
from modelyard.training.loop import TrainResult

MERGED = 1e-6
"""By how much a logit may differ once the changes are merged."""
CHECKED = 256
"""Validation samples that this is seen on."""


def fit_low_rank(tuning: Tuning) -> TrainResult:
    """Raises: TrainingError where merging the changes changes an answer."""
    assert tuning.job.finetune is not None
    add_low_rank(tuning.network, tuning.job.finetune.rank, [last.layer for last in tuning.last_layers()])
    result, validation = tuning.loop(), tuning.splits.validation
    few = validation.take(np.arange(min(CHECKED, len(validation))))
    before_NK = predict_logits(tuning.network, few, tuning.device)
    merge_low_rank(tuning.network)
    differs = (predict_logits(tuning.network, few, tuning.device) - before_NK).abs().max().item()
    if not differs <= MERGED:
        raise TrainingError(
            f"finetune.mode=lora: expected logits within {MERGED:g} once the changes are merged, received "
            f"{differs:g}; --set finetune.mode=full"
        )
    return result


class LowRank(nn.Module):
    """A weight [rows, ...] plus the product of two matrices, which is 0 at first."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        rank = min(rank, rows, columns)
        self.up_R = nn.Parameter(torch.zeros(rows, rank))
        self.down_R = nn.Parameter(torch.empty(rank, columns))
        nn.init.kaiming_uniform_(self.down_R, math.sqrt(5))  # as a layer of torch begins

    def forward(self, weight: Tensor) -> Tensor:
        """Of the weight's shape."""
        return weight + (self.up_R @ self.down_R).view(weight.shape)


def add_low_rank(model: nn.Module, rank: int, heads: Collection[nn.Module]) -> None:
    """Freeze all but the heads; matrices, filters and an LSTM's weights have low-rank changes from now on,
    which are trained.
    """
    kept = {parameter for head in heads for parameter in head.parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(parameter in kept)
    for module, name in list(_weights(model, heads)):
        parametrize.register_parametrization(module, name, LowRank(getattr(module, name), rank))
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.register_forward_pre_hook(_take_changed)


def merge_low_rank(model: nn.Module) -> None:
    """Each weight becomes what it is with its change; nothing else of `add_low_rank` is left."""
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module._forward_pre_hooks.clear()
        for name in list(getattr(module, "parametrizations", ())):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    model.requires_grad_(True)


def _weights(model: nn.Module, heads: Collection[nn.Module]) -> Iterator[tuple[nn.Module, str]]:
    """All that inputs are multiplied by; a table of embeddings is looked up in."""
    for module in model.modules():
        if module not in heads and not isinstance(module, nn.Embedding | nn.EmbeddingBag):
            for name, parameter in module.named_parameters(recurse=False):
                if "weight" in name and parameter.ndim > 1:
                    yield module, name


def _take_changed(lstm: Any, _inputs: object) -> None:
    """An LSTM computes with a list of its own of its weights."""
    lstm._flat_weights = [getattr(lstm, name) for name in lstm._flat_weights_names]
