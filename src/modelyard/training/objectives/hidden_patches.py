"""Pixels of hidden squares, predicted from the features of what is left (Pathak et al. 2016).

B rows, C channels, H height, W width, D features, P squares along a side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.batches import Batch
from modelyard.training.objectives.pretext import FromFeatures, Pretext, features_width
from modelyard.training.protocols import Moment

GREY = 0.5
FINEST = 32
"""Most places along a side that are predicted."""


@dataclass(frozen=True, slots=True)
class HiddenPatches(Pretext):
    """Large images are predicted as means over squares of pixels."""

    usual: ClassVar[tuple[float, int]] = (0.5, 4)
    share: float = 0.5
    run: int = 4
    """Places along a side of a hidden square."""

    def head(self, network: Any) -> nn.Module:
        """A linear layer."""
        form = self.probed.form
        places = form.channels * _places(form.height, self._stride) * _places(form.width, self._stride)
        return FromFeatures(nn.Linear(features_width(network, form), places))

    @property
    def _stride(self) -> int:
        """Pixels along a side that are predicted as one."""
        return _places(max(self.probed.form.size), FINEST)

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """Grey where it is hidden, and which places are."""
        (samples_B,) = batch.inputs
        images_BCHW = self.augment.views(samples_B, moment.draw)
        target_BCHW = functional.avg_pool2d(images_BCHW, self._stride, ceil_mode=True)
        height, width = target_BCHW.shape[2:]
        squares = (len(samples_B), 1, _places(height, self.run), _places(width, self.run))
        chosen_B1PP = torch.rand(squares, generator=moment.draw, device=moment.draw.device) < self.share
        hidden_B1HW = _larger(chosen_B1PP.to(samples_B.device), self.run)[:, :, :height, :width]
        shape = images_BCHW.shape[2:]
        covered_B1HW = _larger(hidden_B1HW, self._stride)[:, :, : shape[0], : shape[1]]
        left_BCHW = images_BCHW.masked_fill(covered_B1HW, GREY)
        columns = {"target": target_BCHW, "hidden": hidden_B1HW}
        return replace(batch, inputs=(left_BCHW, hidden_B1HW), columns=columns)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B, places] -> the mean squared error over what is hidden of each image, float32 [B]."""
        target_BCHW, hidden_B1HW = batch.columns["target"], batch.columns["hidden"].float()
        errors_BCHW = (outputs.float().view_as(target_BCHW) - target_BCHW).square() * hidden_B1HW
        return errors_BCHW.mean(1).sum((1, 2)) / hidden_B1HW.sum((1, 2, 3)).clamp(min=1)


def _places(length: int, size: int) -> int:
    return -(-length // size)


def _larger(places_B1PP: Tensor, size: int) -> Tensor:
    return places_B1PP.repeat_interleave(size, 2).repeat_interleave(size, 3)
