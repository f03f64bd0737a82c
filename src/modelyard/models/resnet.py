"""A small residual network (He et al. 2016). B batch, C channels, H height, W width, K classes."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from modelyard.models.network import Network


class ResNet(Network):
    """Blocks that halve the image and double the channels, the mean over all places, one linear layer."""

    def __init__(self, channels: int, num_classes: int, size: tuple[int, int], dropout: float) -> None:
        super().__init__()
        width, stages = size
        widths = [width << stage for stage in range(stages)]
        self.stem = Block(channels, width, 1)
        self.blocks = nn.Sequential(*[Block(narrow, wide, 2) for narrow, wide in pairwise(widths)])
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], num_classes)

    def features(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> [B, D]."""
        features_BD: Tensor = self.blocks(self.stem(images_BCHW)).mean((2, 3))
        return features_BD

    def former(self) -> dict[str, str]:
        """All blocks stood in one row."""
        return numbered("features.", self)


def numbered(row: str, network: Network) -> dict[str, str]:
    """Names in one row of all layers -> in stem and blocks."""
    parts = {"stem.": network.stem} | {f"blocks.{n}.": block for n, block in enumerate(network.blocks)}
    layers = [
        f"{name}{number}" if number else name
        for name, part in parts.items()
        for number in ([f"{n}." for n in range(len(part))] if isinstance(part, nn.Sequential) else [""])
    ]
    return {f"{row}{number}.": name for number, name in enumerate(layers)}


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
