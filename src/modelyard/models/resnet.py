"""A small residual network (He et al. 2016). B batch, C channels, H height, W width, K classes."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class ResNet(nn.Module):
    """Blocks that halve the image and double the channels, the mean over all places, one linear layer."""

    def __init__(self, channels: int, num_classes: int, size: tuple[int, int], dropout: float) -> None:
        super().__init__()
        width, stages = size
        widths = [width << stage for stage in range(stages)]
        self.features = nn.Sequential(
            Block(channels, width, 1), *[Block(narrow, wide, 2) for narrow, wide in pairwise(widths)]
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> logits [B, K]."""
        features_BC = self.features(images_BCHW).mean((2, 3))
        logits_BK: Tensor = self.head(self.dropout(features_BC))
        return logits_BK


class Block(nn.Module):
    """Two 3x3 convolutions beside a skip of averages and a 1x1 convolution (He, T. et al. 2019, ResNet-D)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        last_norm = nn.BatchNorm2d(channels_out)
        nn.init.zeros_(last_norm.weight)  # a block begins as its skip: Goyal et al. 2017
        self.branch = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            last_norm,
        )
        self.skip = nn.Sequential(
            nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
            nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out),
        )  # fmt: skip
        self.relu = nn.ReLU()

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride], rounded up."""
        result_BCHW: Tensor = self.relu(self.branch(features_BCHW) + self.skip(features_BCHW))
        return result_BCHW
