"""One answer from several networks of one kind. B batch, K classes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from modelyard.models.given import GivenConfig


class EnsembleConfig(GivenConfig):
    """What every architecture of ours may be asked for, whatever it is given."""

    members: int = Field(1, ge=1, le=16)
    """Train so many networks at once, each on its part of every batch, and evaluate, export and serve the
    mean of their logits (deep ensembles: Lakshminarayanan et al. 2017). `training.batch_size` and
    `training.epochs` times as large give
    each what it would have had alone; time and size grow as much."""

    def build(self, form: Any, num_classes: int) -> nn.Module:
        """A fresh model for samples of `form`."""
        networks = [self.network(form, num_classes) for _ in range(self.members)]
        return Ensemble(networks) if len(networks) > 1 else networks[0]

    @abstractmethod
    def network(self, form: Any, num_classes: int) -> nn.Module:
        """One network that is trained, for samples of `form`."""


class Ensemble(nn.Module):
    """Networks of one kind that differ in their first weights and in the samples that each has seen when."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, samples_B: Tensor) -> Tensor:
        """What a member takes [B, ...] -> logits [B, K]: the mean over the members, or in training each
        sample's from one of them.
        """
        members = len(self.networks)
        if not self.training:
            return torch.stack([network(samples_B) for network in self.networks]).mean(0)
        if len(samples_B) < 2 * members:  # batch norm needs two samples
            first_BK: Tensor = self.networks[0](samples_B)
            return first_BK
        parts = zip(self.networks, samples_B.tensor_split(members), strict=True)
        logits_BK = torch.cat([network(part_B) for network, part_B in parts])
        # the same values; but to each member its gradient is the mean over its own samples, as if it were
        # trained alone
        return logits_BK.detach() + members * (logits_BK - logits_BK.detach())
