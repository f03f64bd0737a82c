"""What every network of ours is: a stem, blocks and a head. B batch, D features, K classes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeVar

from torch import Tensor, nn

T = TypeVar("T")


class Network(nn.Module):
    """Samples become features, features logits. What is neither in stem nor blocks nor head follows the
    blocks.
    """

    FORMER: ClassVar[dict[str, str]] = {}
    """What names of weights began with before there were stem, blocks and head, and do now."""

    stem: nn.Module
    """What makes features of a sample at first."""
    blocks: nn.Sequential | nn.ModuleList
    """What changes them one after the other."""
    dropout: nn.Module
    """Before the head."""
    head: nn.Linear
    """The only part whose size depends on the classes."""

    @abstractmethod
    def features(self, samples_B: Tensor) -> Tensor:
        """What the network takes [B, ...] -> what the head takes, before dropout: [B, D]."""

    def forward(self, samples_B: Tensor) -> Tensor:
        """What the network takes [B, ...] -> logits [B, K]."""
        logits_BK: Tensor = self.head(self.dropout(self.features(samples_B)))
        return logits_BK

    def former(self) -> dict[str, str]:
        """`FORMER`, with what depends on the network's size."""
        return self.FORMER


def members(model: nn.Module) -> dict[str, Network]:
    """The networks of ours within `model`, one or those that answer together, by the prefix of their weights'
    names; none of a network that is not ours.
    """
    parts = model.named_modules()
    return {f"{name}." * bool(name): part for name, part in parts if isinstance(part, Network)}


def renamed(model: nn.Module, weights: Mapping[str, T]) -> dict[str, T]:
    """`weights` with today's names where they have those of before."""
    longest_first = sorted(
        (
            (prefix + before, prefix + now)
            for prefix, network in members(model).items()
            for before, now in network.former().items()
        ),
        key=lambda names: -len(names[0]),
    )
    own = model.state_dict().keys()
    return {name if name in own else _now(name, longest_first): value for name, value in weights.items()}


def _now(name: str, changes: list[tuple[str, str]]) -> str:
    return next((now + name.removeprefix(was) for was, now in changes if name.startswith(was)), name)
