"""Epochs, steps and learning rates of a training, fixed before its first step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from modelyard.training.config import TrainingConfig, num_epochs
from modelyard.training.protocols import Moment, Sampler


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Epochs, their steps, and the learning rate of each step."""

    steps: tuple[int, ...]
    """Of each epoch."""
    rates: tuple[float, ...]
    """Of each step of all epochs."""

    @classmethod
    def of(cls, config: TrainingConfig, num_samples: int, sampler: Sampler) -> TrainingPlan:
        """For a data set of `num_samples`."""
        steps = sampler.steps(num_epochs(config, num_samples))
        whole = sum(steps)
        return cls(steps, tuple(config.optimizer.rate_at(step, whole) for step in range(whole)))

    @property
    def epochs(self) -> int:
        return len(self.steps)

    def moments(self, epoch: int, draw: torch.Generator) -> Iterator[Moment]:
        """Of an epoch's steps."""
        first = self.before(epoch)
        for step in range(first, first + self.steps[epoch]):
            yield Moment(step, len(self.rates), epoch, draw)

    def before(self, epoch: int) -> int:
        """Steps of all epochs before this one."""
        return sum(self.steps[:epoch])
