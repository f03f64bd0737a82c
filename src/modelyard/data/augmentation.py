"""Random changes of a whole batch at once, on the device. B batch, C channels, H height, W width."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from modelyard.config import Config, change
from modelyard.data.batches import to_unit_range


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
    shear: float | None = Field(None, ge=0, lt=1)
    """Largest slant: by what part of its height a line from top to bottom leans; None: it does not."""
    erase: int = Field(0, ge=0)
    """Side of a black square at a random place, in pixels (cutout: DeVries and Taylor 2017); 0 is off."""

    def stronger(self, shape: Sequence[int]) -> AugmentConfig:
        """Turned, slanted, nearer or farther, with a third of each side erased (`shape`: C, H, W)."""
        return change(
            self, rotate=max(self.rotate, 25.0), scale=max(self.scale, 0.25), shear=max(self.shear or 0, 0.3),
            shift=2 * self.shift, erase=max(self.erase, min(shape[1:]) // 3),
        )  # fmt: skip

    def livelier(self) -> AugmentConfig:
        """As hands and cameras differ, where what is shown is not always in one place: turned, slanted and
        nearer or farther by a little.
        """
        if not self.shift:
            return self
        return change(
            self, rotate=max(self.rotate, 10.0), scale=max(self.scale, 0.1), shear=max(self.shear or 0, 0.2)
        )

    def views(self, samples_B: Tensor, draw: torch.Generator) -> Tensor:
        """uint8 images -> augmented float32 images in 0..1, channels last."""
        return augment(samples_B, self, draw).contiguous(memory_format=torch.channels_last)


def augment(images_BCHW: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """uint8 pixels in, float32 0..1 out, same shape; each image has its own draw.

    A generator of the images' own device draws there: nothing is copied, so no step waits for the one before.
    """
    if config.rotate or config.scale or config.shear:
        changed_BCHW = _warped(to_unit_range(images_BCHW), config, generator)
    elif config.shift or config.flip:
        changed_BCHW = to_unit_range(_moved(images_BCHW, config, generator))
    else:
        changed_BCHW = to_unit_range(images_BCHW)
    return _erased(changed_BCHW, config.erase, generator) if config.erase else changed_BCHW


def _moved(images_BCHW: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Whole-pixel shifts and mirrors by index, on bytes: a tenth of what sampling a grid costs."""
    batch, channels, height, width = images_BCHW.shape
    device, reach = images_BCHW.device, config.shift
    padded_BCHW = functional.pad(images_BCHW, (reach, reach, reach, reach))
    offset_2B = torch.randint(
        0, 2 * reach + 1, (2, batch, 1), generator=generator, device=generator.device
    ).to(device)
    columns_W = torch.arange(width, device=device)
    rows_BH, columns_BW = (offset_2B[0] + torch.arange(height, device=device), offset_2B[1] + columns_W)
    if config.flip:
        mirrored_B1 = (_uniform((batch, 1), generator) < 0.5).to(device)
        columns_BW = torch.where(mirrored_B1, offset_2B[1] + columns_W.flip(0), columns_BW)
    places_BP = (rows_BH[:, :, None] * (width + 2 * reach) + columns_BW[:, None, :]).flatten(1)
    places_BCP = places_BP[:, None].expand(-1, channels, -1)
    return padded_BCHW.flatten(2).gather(2, places_BCP).reshape(batch, channels, height, width)


def _warped(images_BCHW: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """One affine sampling of the whole batch; cubic, since linear sampling blurs, and what is classified
    later is sharp.
    """
    batch, _, height, width = images_BCHW.shape
    uniform_5B = _uniform((5, batch), generator) * 2 - 1
    angle_B = uniform_5B[0] * math.radians(config.rotate)
    scale_B = 1 + uniform_5B[1] * config.scale
    mirror_B = torch.where(uniform_5B[4] < 0, -1.0, 1.0) if config.flip else torch.ones_like(scale_B)
    right_B, down_B = (  # in the grid's -1..1
        (uniform_B * (config.shift + 0.499)).round() * 2 / side
        for uniform_B, side in zip(uniform_5B[2:4], (width, height), strict=True)
    )
    cos_B, sin_B = angle_B.cos() * scale_B, angle_B.sin() * scale_B
    theta_B23 = torch.stack(
        [
            torch.stack([cos_B * mirror_B, -sin_B * height / width, right_B], 1),
            torch.stack([sin_B * mirror_B * width / height, cos_B, down_B], 1),
        ],
        1,
    ).to(images_BCHW.device)
    if config.shear:
        slant_B1 = ((_uniform((batch, 1), generator) * 2 - 1) * config.shear).to(images_BCHW.device)
        theta_B23[:, :, 1] += slant_B1 * theta_B23[:, :, 0] * height / width
    grid_BHW2 = functional.affine_grid(theta_B23, list(images_BCHW.shape), align_corners=False)
    return functional.grid_sample(images_BCHW, grid_BHW2, mode="bicubic", align_corners=False).clamp(0, 1)


def _erased(images_BCHW: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square of `side` pixels, cut off at the border where it hangs over, set to zero."""
    batch, _, height, width = images_BCHW.shape
    inside = []
    for uniform_B1, length in zip(_uniform((2, batch, 1), generator), (height, width), strict=True):
        start_B1 = (uniform_B1 * length - side / 2).round()
        places_L = torch.arange(length, device=start_B1.device)
        inside.append((places_L >= start_B1) & (places_L < start_B1 + side))
    square_B1HW = (inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(images_BCHW.device)
    return images_BCHW.masked_fill(square_B1HW, 0.0)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)
