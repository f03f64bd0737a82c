"""Moving average of a model's weights (Polyak and Juditsky 1992): what is evaluated and exported."""

from __future__ import annotations

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from modelyard.training.protocols import Moment
from modelyard.training.state import TrainState


class Averaging:
    """After each step: average = decay * average + (1 - decay) * weights, in one call for all tensors."""

    def __init__(self, state: TrainState, decay: float) -> None:
        weights = state.network.state_dict()
        self._averages = list(state.average.values())
        self._weights = [weights[name] for name in state.average]
        self._decay = decay

    @torch.no_grad()
    def __call__(self, state: TrainState, moment: Moment) -> None:
        blend = get_ema_multi_avg_fn(decay_at(moment.step, self._decay))  # type: ignore[no-untyped-call]
        blend(self._averages, self._weights, 0)


def decay_at(step: int, decay: float) -> float:
    """A short memory at first, or the random weights of the start would weigh for hundreds of steps."""
    return min(decay, (1 + step) / (10 + step))
