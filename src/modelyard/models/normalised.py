"""What a network's weights were trained to see: pixels less a mean, over a deviation. The graph takes raw
pixels, so that this is a part of the network.

B batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from modelyard.errors import ConfigError
from modelyard.models.given import GivenConfig

COLOURS = 3
"""Channels of most published weights; grey images are given to them as so many."""
Means = tuple[Annotated[float, Field(ge=-1000, le=1000)], ...]
Deviations = tuple[Annotated[float, Field(gt=1e-6, le=1000)], ...]


class NormalisedConfig(GivenConfig):
    """What a network that sees pixels may be told of them."""

    mean: Means | Literal["none"] | None = None
    """Of each channel, from 0 to 1: what the weights of `--init` were trained with, where neither they nor
    their library tell. `none`: they take pixels from 0 to 1."""
    std: Deviations | None = None
    """Deviation of each channel, likewise."""

    @model_validator(mode="after")
    def _mean_and_deviation(self) -> Self:
        lengths = {len(part) for part in (self.mean, self.std) if isinstance(part, tuple)}
        if isinstance(self.mean, tuple) != (self.std is not None) or len(lengths) > 1 or 0 in lengths:
            raise ValueError("mean and std: expected a list of numbers each, one for each channel")
        return self

    def normalised(self, network: nn.Module, *possible: int) -> nn.Module:
        """`network`, given pixels less the mean over the deviation. `possible`: numbers of channels that it
        may be for. Raises: ConfigError.
        """
        if not isinstance(self.mean, tuple) or self.std is None:
            return network
        if len(self.mean) not in possible:
            expected = " or ".join(map(str, possible)) or "no"
            raise ConfigError(
                f"model.mean: expected {expected} numbers for these samples, received {len(self.mean)}"
            )
        return Normalised(network, self.mean, self.std)


class Normalised(nn.Module):
    """A network behind the normalisation of its pixels; grey ones become as many as there are means."""

    def __init__(self, network: nn.Module, mean: Means, std: Deviations) -> None:
        super().__init__()
        self.network: Any = network
        self.mean_C11: Tensor
        self.std_C11: Tensor
        for name, values in (("mean_C11", mean), ("std_C11", std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def __getattr__(self, name: str) -> Any:
        """`stem`, `blocks` and `head` are the network's own."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def features(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> what the head takes [B, D]."""
        features_BD: Tensor = self.network.features(self.seen(images_BCHW))
        return features_BD

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> logits [B, K]."""
        logits_BK: Tensor = self.network(self.seen(images_BCHW))
        return logits_BK

    def seen(self, images_BCHW: Tensor) -> Tensor:
        """As the network was trained to see them."""
        return (images_BCHW - self.mean_C11) / self.std_C11
