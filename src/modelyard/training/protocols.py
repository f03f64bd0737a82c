"""Protocols of the loop's parts. B rows of a batch, N of the split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from modelyard.data.batches import Batch, Feed
from modelyard.training.state import TrainState

Network = Callable[..., Tensor]
"""A network with its precision and mode seen to: inputs of a batch -> outputs."""
Coupling = Literal["sample", "batch"]
"""May a row's loss depend on the other rows of its batch?"""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happens, and by chance of what: all ramps and all random numbers of a step."""

    step: int
    """From zero, over all epochs."""
    steps: int
    """Of the whole training."""
    epoch: int
    """From zero."""
    draw: torch.Generator
    """Seeded by (seed, epoch), on the device."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What validation came to: the names of `progress.EpochReport`."""

    calibrated_loss: float
    """What is minimised: the epoch with the least is kept. Of most objectives the calibrated loss."""
    validation_loss: float
    validation_accuracy: float


class Augment(Protocol):
    """How training samples are varied."""

    def views(self, samples_B: Tensor, draw: torch.Generator) -> Tensor:
        """What the network is given of samples as they were fed."""

    def stronger(self, shape: Sequence[int]) -> Augment:
        """A change of samples of this shape that leaves little but what their class is told by."""


class Objective(Protocol):
    """What a training minimises: sum(loss) / total(counts)."""

    coupling: ClassVar[Coupling]

    def network(self, model: nn.Module) -> nn.Module:
        """The model with what only training needs: checkpointed, never exported."""

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """What the network sees of a batch: augmented, masked, in pairs."""

    def counts(self, batch: Batch) -> Tensor:
        """What each row counts [B], known after the views and before the forward pass."""

    def loss(self, network: Network, batch: Batch, moment: Moment) -> Tensor:
        """Sums by row, float32 [B]; the weights are reached through `network` only."""

    def validate(self, network: Network, feed: Feed) -> Scores:
        """Of a network in evaluation mode."""

    def report(self) -> dict[str, float]:
        """What else is to be told of the steps since the last call, by the name of its curve."""


class OneCall(ABC):
    """An objective that calls the network once for each batch, without more weights: the common case."""

    __slots__ = ()

    def network(self, model: nn.Module) -> nn.Module:
        """The model itself."""
        return model

    def loss(self, network: Network, batch: Batch, moment: Moment) -> Tensor:
        """Losses of what one call gives."""
        return self.losses(network(*batch.inputs), batch)

    @abstractmethod
    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Sums by row, float32 [B]."""

    def report(self) -> dict[str, float]:
        """Nothing."""
        return {}


class Sampler(Protocol):
    """Which rows an epoch trains on."""

    def batches(self, epoch: int, losses_N: Tensor, draw: torch.Generator) -> Sequence[Tensor]:
        """Global batches of row numbers, int64 on the CPU, the same on every rank."""

    def steps(self, epochs: int) -> tuple[int, ...]:
        """How many batches each of so many epochs has."""


class Update(Protocol):
    """How losses become a change of the weights: owns the backward pass."""

    def __call__(self, state: TrainState, batch: Batch, moment: Moment) -> Tensor:
        """Change the weights by a batch as it was fed; gives the detached losses [B]."""


AfterStep = Callable[[TrainState, Moment], None]
"""What happens after each step: averages, masks."""
