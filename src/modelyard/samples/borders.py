"""The border of images: the ground on which things stand. C channels, H height, W width, E edge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]


def border_of(image_CHW: Images) -> Images:
    """The outermost pixels [C, E]."""
    edges = (image_CHW[:, 0], image_CHW[:, -1], image_CHW[:, :, 0], image_CHW[:, :, -1])
    return np.concatenate(edges, axis=1)


def median_colour(pixels_CE: Sequence[Images]) -> tuple[int, ...]:
    """For each channel; none of no pixels."""
    if not pixels_CE:
        return ()
    return tuple(int(value) for value in np.median(np.concatenate(pixels_CE, axis=1), axis=1))


def border_colour(images: Iterable[Images]) -> tuple[int, ...]:
    """The median of the outermost pixels of some images [C, H, W], 0..255 for each channel."""
    return median_colour([border_of(image_CHW) for image_CHW in images])
