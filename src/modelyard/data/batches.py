"""Seeded batches from images resident on the device, augmented there. B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections.abc import Iterator

import psutil
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from modelyard.config import Config
from modelyard.data.datasets import Split

RESIDENT_SHARE = 0.4
"""Share of the device's free memory that a training split may take."""


class AugmentConfig(Config):
    """Random change of each training image; all zero means none."""

    shift: int = Field(2, ge=0)
    """Largest translation in pixels, each axis."""
    rotate: float = Field(0.0, ge=0, le=180)
    """Largest rotation in degrees."""
    scale: float = Field(0.0, ge=0, lt=1)
    """Largest relative change of size."""
    flip: bool = False
    """Mirror left to right with probability one half (never for digits or letters)."""


class ImageFeed:
    """A split's images on the device as uint8, or streamed from disk where they exceed the memory."""

    def __init__(self, split: Split, device: torch.device, *, resident: bool | None = None) -> None:
        self._split, self._device = split, device
        self.labels_N = torch.tensor(split.labels_N, device=device)
        is_resident = split.nbytes < free_bytes(device) * RESIDENT_SHARE if resident is None else resident
        self._images_NCHW = torch.from_numpy(split.images_NCHW).to(device) if is_resident else None

    def __len__(self) -> int:
        return len(self.labels_N)

    def rows(self, rows_B: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [B, C, H, W] and int64 [B] for int64 row numbers [B]."""
        if self._images_NCHW is not None:
            return self._images_NCHW[rows_B], self.labels_N[rows_B]
        images_BCHW = torch.from_numpy(self._split.gather(rows_B.cpu().numpy())).to(self._device)
        return images_BCHW, self.labels_N[rows_B]

    def batches(self, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once in random order; a last batch of one is left out (batch norm needs two)."""
        order_N = torch.randperm(len(self), generator=generator).to(self._device)
        for rows_B in torch.split(order_N, batch_size):
            if len(rows_B) > 1:
                yield self.rows(rows_B)


def free_bytes(device: torch.device) -> int:
    """Free memory where the images would lie."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def to_unit_range(images_BCHW: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1."""
    return images_BCHW.float() / 255


def augment(images_BCHW: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """One affine sampling of the whole batch, each image with its own draw; float in, float out, same shape."""
    if not (config.shift or config.rotate or config.scale or config.flip):
        return images_BCHW
    batch, _, height, width = images_BCHW.shape
    uniform_5B = torch.rand(5, batch, generator=generator) * 2 - 1
    angle_B = uniform_5B[0] * math.radians(config.rotate)
    scale_B = 1 + uniform_5B[1] * config.scale
    mirror_B = torch.where(uniform_5B[4] < 0, -1.0, 1.0) if config.flip else torch.ones(batch)
    shift_B2 = _shifts(uniform_5B[2:4].T, config, (width, height))
    cos_B, sin_B = angle_B.cos() * scale_B, angle_B.sin() * scale_B
    theta_B23 = torch.stack(
        [
            torch.stack([cos_B * mirror_B, -sin_B * height / width, shift_B2[:, 0]], 1),
            torch.stack([sin_B * mirror_B * width / height, cos_B, shift_B2[:, 1]], 1),
        ],
        1,
    ).to(images_BCHW.device)
    grid_BHW2 = functional.affine_grid(theta_B23, list(images_BCHW.shape), align_corners=False)
    return functional.grid_sample(images_BCHW, grid_BHW2, align_corners=False)


def _shifts(uniform_B2: Tensor, config: AugmentConfig, size: tuple[int, int]) -> Tensor:
    """Whole-pixel shifts in the grid's -1..1 units, so that a shift alone never blurs."""
    return (uniform_B2 * (config.shift + 0.499)).round() * 2 / torch.tensor(size)
