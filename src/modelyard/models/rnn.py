"""The image as a series of rows: an LSTM. B batch, C channels, H height, W width, T time, F features, K
classes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from modelyard.models.combined import CombinedConfig
from modelyard.samples import ImageForm


class RnnConfig(CombinedConfig):
    """An LSTM over the rows (Hochreiter and Schmidhuber 1997)."""

    operators: ClassVar[frozenset[str]] = frozenset({"LSTM"})
    architecture: Literal["rnn"] = "rnn"
    variant: Literal["tuned", "lstm"] = "tuned"
    """`tuned`: mean and maximum over time; `lstm`: the textbook's last state."""
    hidden: int = Field(128, ge=1, le=4096)
    """Units of each layer."""
    layers: int = Field(1, ge=1, le=8)
    """Stacked LSTM layers."""
    rows_per_step: int = Field(2, ge=1)
    """Rows read at each time step; single rows where it does not divide the image height."""

    def network(self, form: ImageForm, num_classes: int) -> nn.Module:
        """What is trained, for samples of `form`."""
        return Rnn(self, form, num_classes)


class Rnn(nn.Module):
    """LSTM, pooled over time, one linear layer."""

    def __init__(self, config: RnnConfig, form: ImageForm, num_classes: int) -> None:
        super().__init__()
        channels, height, width = form.chw
        self.rows = config.rows_per_step if height % config.rows_per_step == 0 else 1
        self.pooled = config.variant == "tuned"
        self.lstm = nn.LSTM(channels * width * self.rows, config.hidden, config.layers, batch_first=True)
        self.head = nn.Linear(config.hidden * (2 if self.pooled else 1), num_classes)
        for layer in range(config.layers):  # an open forget gate at first: Jozefowicz et al. 2015
            getattr(self.lstm, f"bias_ih_l{layer}").data[config.hidden : 2 * config.hidden].fill_(1.0)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> logits [B, K]."""
        _, channels, height, width = images_BCHW.shape
        rows_BTF = images_BCHW.permute(0, 2, 1, 3).reshape(
            -1, height // self.rows, self.rows * channels * width
        )
        states_BTF, _ = self.lstm(rows_BTF)
        summary_BF = (
            torch.cat([states_BTF.mean(1), states_BTF.amax(1)], 1) if self.pooled else states_BTF[:, -1]
        )
        logits_BK: Tensor = self.head(summary_BF)
        return logits_BK
