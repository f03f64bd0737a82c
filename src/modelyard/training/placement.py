"""Where a training runs: one device, or many that act as one."""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from modelyard.training.state import TrainState

T = TypeVar("T")


class Placement(Protocol):
    """One of the processes that train together. All of them call the same methods in the same order."""

    rank: int
    """Its number; rank 0 decides, speaks and writes."""
    device: torch.device

    def place(self, network: nn.Module) -> nn.Module:
        """The network as it is trained here; before its optimizer is made."""

    def share(self, rows_B: Tensor) -> Tensor:
        """This rank's rows of a global batch."""

    def total(self, value: Tensor) -> Tensor:
        """The sum over all ranks."""

    def agree(self, value: T) -> T:
        """What rank 0 has: for every clock, probe, stop and fault, or ranks wait for each other for ever."""

    def whole(self, state: TrainState) -> dict[str, Tensor]:
        """All tensors of the state by name, on rank 0's CPU."""

    def restore(self, state: TrainState, tensors: dict[str, Tensor]) -> None:
        """Put what `whole` gave back in place."""


class Single:
    """One process, one device."""

    rank = 0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def place(self, network: nn.Module) -> nn.Module:
        """On the device, convolutions' weights with the channels last."""
        return network.to(self.device).to(memory_format=torch.channels_last)

    def share(self, rows_B: Tensor) -> Tensor:
        return rows_B

    def total(self, value: Tensor) -> Tensor:
        return value

    def agree(self, value: T) -> T:
        return value

    def whole(self, state: TrainState) -> dict[str, Tensor]:
        return {name: value.detach().cpu() for name, value in state.tensors().items()}

    def restore(self, state: TrainState, tensors: dict[str, Tensor]) -> None:
        state.load(tensors)
