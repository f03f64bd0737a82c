"""Optimizer and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from modelyard.config import Config


class OptimizerConfig(Config):
    """AdamW (Loshchilov and Hutter 2019) or SGD with Nesterov momentum, warm-up and decay."""

    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(3e-3, gt=0, le=10)
    """Peak learning rate."""
    weight_decay: float = Field(1e-2, ge=0, le=1)
    """Decoupled decay of matrices and filters; biases and norms have none."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum (SGD) or beta 1 (AdamW)."""
    warmup_share: float = Field(0.15, ge=0, lt=1)
    """Share of all steps over which the rate rises from zero."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the rate falls after the warm-up, to zero at the last step."""

    def build(
        self, model: nn.Module, shares: Mapping[nn.Parameter, float] = MappingProxyType({})
    ) -> torch.optim.Optimizer:
        """An optimizer over those of `model`'s parameters that are trained; `shares` of the learning rate are
        1 where nothing is said.
        """
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        kinds = {(share, is_decayed) for share in (1.0, *shares.values()) for is_decayed in (True, False)}
        groups: list[dict[str, Any]] = [
            {
                "params": [
                    parameter
                    for parameter in trained
                    if (shares.get(parameter, 1.0), parameter.ndim > 1) == (share, is_decayed)
                ],
                "weight_decay": self.weight_decay * is_decayed,
                "share": share,
            }
            for share, is_decayed in sorted(kinds, reverse=True)
        ]
        if self.name == "sgd":
            return torch.optim.SGD(
                groups, lr=self.learning_rate, momentum=self.momentum, nesterov=self.momentum > 0
            )
        return torch.optim.AdamW(groups, lr=self.learning_rate, betas=(self.momentum, 0.99), fused=True)

    def rate_at(self, step: int, num_steps: int) -> float:
        """Learning rate of step `step` of `num_steps`, counted from zero."""
        warmup = max(1, round(self.warmup_share * num_steps))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        progress = (step - warmup) / max(1, num_steps - warmup)
        factor = {"cosine": (1 + math.cos(math.pi * progress)) / 2, "linear": 1 - progress, "constant": 1.0}
        return self.learning_rate * factor[self.schedule]
