"""One answer from several networks of one kind. B batch, T places, D features, K classes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from modelyard.models.given import GivenConfig
from modelyard.models.network import Network, members


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
    def network(self, form: Any, num_classes: int) -> Network:
        """One network that is trained, for samples of `form`."""


class Ensemble(nn.Module):
    """Networks of one kind that differ in their first weights and in the samples that each has seen when."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, *inputs_B: Tensor) -> Tensor:
        """What a member takes, batch first -> logits [B, K]: the mean over the members, or in training each
        sample's from one of them.
        """
        return self._together(inputs_B, list(self.networks))

    def features(self, samples_B: Tensor) -> Tensor:
        """Likewise -> [B, D]."""
        return self._together((samples_B,), [network.features for network in members(self).values()])

    def states(self, symbols_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Likewise of what reads symbols -> [B, T, D], and their mask [B, T, 1]."""
        networks: list[Any] = list(self.networks)
        states_BTD = self._together(
            (symbols_BL,), [lambda part_B, network=network: network.states(part_B)[0] for network in networks]
        )
        return states_BTD, networks[0].mask(symbols_BL)

    def _together(self, inputs_B: tuple[Tensor, ...], parts: Sequence[Callable[..., Tensor]]) -> Tensor:
        if not self.training:
            return torch.stack([part(*inputs_B) for part in parts]).mean(0)
        if len(inputs_B[0]) < 2 * len(parts):  # batch norm needs two samples
            return parts[0](*inputs_B)
        shares = zip(*(input_B.tensor_split(len(parts)) for input_B in inputs_B), strict=True)
        answers_B = torch.cat([part(*share) for part, share in zip(parts, shares, strict=True)])
        # the same values; but to each member its gradient is the mean over its own samples, as if it were
        # trained alone
        return answers_B.detach() + len(parts) * (answers_B - answers_B.detach())
