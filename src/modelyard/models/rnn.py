"""The image as a series of rows: an LSTM. B batch, C channels, H height, W width, T time, F features, K
classes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from modelyard.models.combined import CombinedConfig
from modelyard.models.network import Network
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

    def network(self, form: ImageForm, num_classes: int) -> Network:
        """What is trained, for samples of `form`."""
        return Rnn(self, form, num_classes)


class Rnn(Network):
    """LSTM, pooled over time, one linear layer."""

    FORMER: ClassVar = {"lstm.": "blocks.0."}

    def __init__(self, config: RnnConfig, form: ImageForm, num_classes: int) -> None:
        super().__init__()
        channels, height, width = form.chw
        rows = config.rows_per_step if height % config.rows_per_step == 0 else 1
        self.pooled = config.variant == "tuned"
        self.stem = Rows(rows)
        lstm = nn.LSTM(channels * width * rows, config.hidden, config.layers, batch_first=True)
        self.blocks, self.dropout = nn.ModuleList([lstm]), nn.Identity()
        self.head = nn.Linear(config.hidden * (2 if self.pooled else 1), num_classes)
        for layer in range(config.layers):  # an open forget gate at first: Jozefowicz et al. 2015
            getattr(lstm, f"bias_ih_l{layer}").data[config.hidden : 2 * config.hidden].fill_(1.0)

    def features(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> [B, D]."""
        states_BTD, _ = self.blocks[0](self.stem(images_BCHW))
        features_BD: Tensor = (
            torch.cat([states_BTD.mean(1), states_BTD.amax(1)], 1) if self.pooled else states_BTD[:, -1]
        )
        return features_BD


class Rows(nn.Module):
    """Rows of pixels as time steps."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, T, F]."""
        _, channels, height, width = images_BCHW.shape
        return images_BCHW.permute(0, 2, 1, 3).reshape(-1, height // self.rows, self.rows * channels * width)
