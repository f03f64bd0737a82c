"""The moving average of a model's weights (Polyak and Juditsky 1992), which is what is evaluated and
exported.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Averaging:
    """Pairs the tensors of a model and of its average once, so that a step costs one call."""

    def __init__(self, average: nn.Module, model: nn.Module) -> None:
        pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """average = decay * average + (1 - decay) * model; counters are copied."""
        averages: list[Tensor] = [average for average, _ in self._floats]
        blend = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        blend(averages, [value for _, value in self._floats], 0)
        for average, value in self._counts:
            average.copy_(value)


def decay_at(step: int, decay: float) -> float:
    """A short memory at first, or the random weights of the start would weigh for hundreds of steps."""
    return min(decay, (1 + step) / (10 + step))
