"""The image as a plane: convolutions. B batch, C channels, H height, W width, K classes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from modelyard.models.combined import CombinedConfig
from modelyard.models.network import Network
from modelyard.models.resnet import ResNet, numbered
from modelyard.samples import ImageForm

DEEPEST = 3
"""Stages of the `tuned` variant, at most."""


class CnnConfig(CombinedConfig):
    """A stack of convolutions with early pooling; `lenet` is LeNet-5 (LeCun et al. 1998)."""

    architecture: Literal["cnn"] = "cnn"
    variant: Literal["tuned", "resnet", "lenet"] = "tuned"
    """`tuned`: batch-normed 5x5 + 3x3 stages; `resnet`: blocks of two convolutions that halve the image and
    double the channels; `lenet`: the textbook's LeNet-5."""
    width: int = Field(24, ge=1, le=1024)
    """Channels of the first stage; the next ones have two and three times as many, or each twice as many
    (`resnet`).
    """
    downsample: Literal["pool", "stride"] = "pool"
    """How the first two stages halve the image: a maximum over 2 x 2, or every second place of the
    convolution only, for a quarter of the work."""
    stages: int = Field(3, ge=2, le=6)
    """The third stage of `tuned` is the last and has no downsampling."""
    residuals: int = Field(1, ge=0, le=32)
    """Convolutions with a skip connection after the last stage."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout before the last layer."""

    @model_validator(mode="after")
    def _only_resnets_are_deep(self) -> CnnConfig:
        if self.variant == "tuned" and self.stages > DEEPEST:
            raise ValueError(f"stages ({self.stages}) must be 2 or {DEEPEST} without variant=resnet")
        return self

    def network(self, form: ImageForm, num_classes: int) -> Network:
        """One network that is trained, for samples of `form`."""
        if self.variant == "resnet":
            return ResNet(form.channels, num_classes, (self.width, self.stages), self.dropout)
        if self.variant == "lenet":
            return LeNet(form, num_classes)
        return Cnn(self, form, num_classes)


def _stage(channels_in: int, channels_out: int, kernel: int, downsample: str = "") -> list[nn.Module]:
    stride = 2 if downsample == "stride" else 1
    convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)
    layers: list[nn.Module] = [convolution]
    if downsample == "pool":  # before norm and ReLU: a quarter of the work for the same maxima
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return [*layers, nn.BatchNorm2d(channels_out), nn.ReLU()]


class Cnn(Network):
    """Convolution stages, residual convolutions, an average to 4 x 4, one linear layer."""

    def __init__(self, config: CnnConfig, form: ImageForm, num_classes: int) -> None:
        super().__init__()
        width, top = config.width, config.width * config.stages
        self.stem = nn.Sequential(*_stage(form.channels, width, 5, config.downsample))
        self.blocks = nn.Sequential(
            nn.Sequential(*_stage(width, 2 * width, 3, config.downsample)),
            *([nn.Sequential(*_stage(2 * width, top, 3))] if config.stages == 3 else ()),
            *[Residual(top) for _ in range(config.residuals)],
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(top * 16, num_classes)
        self.pool = nn.AdaptiveAvgPool2d(4) if form.height % 16 == 0 and form.width % 16 == 0 else _Resize()

    def features(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> [B, D]."""
        features_BC44: Tensor = self.pool(self.blocks(self.stem(images_BCHW)))
        return features_BC44.flatten(1)

    def former(self) -> dict[str, str]:
        """All layers stood in one row."""
        return numbered("features.", self)


class Residual(nn.Module):
    """A 3x3 convolution, batch norm and ReLU beside a skip connection (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(*_stage(channels, channels, 3))

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        result_BCHW: Tensor = features_BCHW + self.branch(features_BCHW)
        return result_BCHW


class _Resize(nn.Module):
    """To 4 x 4 by averages of fixed windows, exportable for sizes that 4 does not divide; what is smaller is
    repeated.
    """

    def forward(self, features_BCHW: Tensor) -> Tensor:
        if min(features_BCHW.shape[2:]) < CELLS:
            height, width = (max(CELLS, size) for size in features_BCHW.shape[2:])
            features_BCHW = nn.functional.interpolate(features_BCHW, (height, width))
        (kernel_H, stride_H, down), (kernel_W, stride_W, right) = (
            _windows(size) for size in features_BCHW.shape[2:]
        )
        padded = nn.functional.pad(features_BCHW, (0, right, 0, down))
        return nn.functional.avg_pool2d(padded, (kernel_H, kernel_W), (stride_H, stride_W))


CELLS = 4


def _windows(size: int) -> tuple[int, int, int]:
    """Kernel, stride and padding of `CELLS` windows; they overlap where padding would leave one of them
    empty.
    """
    kernel = -(-size // CELLS)
    padding = CELLS * kernel - size
    if padding < kernel:
        return kernel, kernel, padding
    stride = size // CELLS
    return size - (CELLS - 1) * stride, stride, 0


class LeNet(Network):
    """LeNet-5 with ReLU and max pooling, as textbooks print it today."""

    FORMER: ClassVar = {
        "features.0.": "stem.0.", "features.3.": "blocks.0.0.",
        "head.0.": "blocks.1.0.", "head.2.": "blocks.2.0.", "head.4.": "head.",
    }  # fmt: skip

    def __init__(self, form: ImageForm, num_classes: int) -> None:
        super().__init__()
        channels, height, width = form.chw
        self.stem = nn.Sequential(nn.Conv2d(channels, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        self.blocks = nn.ModuleList([
            nn.Sequential(nn.Conv2d(6, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Linear(16 * (height // 4) * (width // 4), 120), nn.ReLU()),
            nn.Sequential(nn.Linear(120, 84), nn.ReLU()),
        ])  # fmt: skip
        self.dropout, self.head = nn.Identity(), nn.Linear(84, num_classes)

    def features(self, images_BCHW: Tensor) -> Tensor:
        """float [B, C, H, W] -> [B, D]."""
        convolution, *linear = self.blocks
        features_BD: Tensor = convolution(self.stem(images_BCHW)).flatten(1)
        for layer in linear:
            features_BD = layer(features_BD)
        return features_BD
