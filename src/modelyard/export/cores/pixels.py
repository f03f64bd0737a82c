"""Images: raw pixels are the input of the graph. B batch, C channels, H height, W width."""

from __future__ import annotations

from torch import Tensor

from modelyard.data.batches import to_unit_range
from modelyard.export.cores.core import Core
from modelyard.samples import ImageForm

KIND = ImageForm.kind


def core(form: ImageForm) -> Core:
    """uint8 [B, H, W, C] in."""
    return Core(form.names.input, form.encoding.raw(form.blank(2)), prepared)


def prepared(images_BHWC: Tensor) -> Tensor:
    """uint8 [B, H, W, C] -> float32 0..1 [B, C, H, W]."""
    return to_unit_range(images_BHWC.permute(0, 3, 1, 2))
