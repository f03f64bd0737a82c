"""What speaks against a picture before a model answers: it is blank, or a negative of what the model was
trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Manifest
from modelyard.samples.reading import colour_name

OPPOSITE_BORDERS, RARE = "data/opposite_borders", 0.01
"""Metric: the share of training images whose border is as a negative's. Where more are, as of photos, borders
say nothing.
"""
DARK, MIDDLE, BRIGHT = 64, 127, 191
"""Of 0..255: a ground below the first or above the last is clear, a border dark or bright on either side of
the middle.
"""
BLANK_RANGE = 16
"""No more is one colour and a camera's noise, or 12 bits read as 16; no image of five sets, MNIST one of
them, is below 25.
"""


def doubts_of_image(pixels_HWC: NDArray[np.uint8], manifest: Manifest) -> list[str]:
    """Why the answer for a model's input may be worthless. H height, W width, C channels."""
    ground, is_bright = np.mean(manifest.reading.ground), _is_bright(pixels_HWC)
    is_as_ground = is_bright == (ground > MIDDLE)
    if np.ptp(pixels_HWC, axis=(0, 1)).max() <= BLANK_RANGE:
        name = colour_name(tuple(np.median(pixels_HWC, axis=(0, 1)).astype(int).tolist()))
        advice = "; if it is drawn in this colour on a transparent ground, invert it" if is_as_ground else ""
        return [f"the picture is blank: {name}{advice}"]
    is_known = manifest.metrics.get(OPPOSITE_BORDERS, 1.0) <= RARE and not DARK <= ground <= BRIGHT
    if is_as_ground or not is_known:
        return []
    found, usual = ("bright", "dark") if is_bright else ("dark", "bright")
    return [
        f"the picture looks inverted: its border is {found}, that of the training images {usual}; invert it"
    ]


def facts_of_images(few_BCHW: NDArray[np.uint8], reading: Any) -> dict[str, float]:
    """What is kept of training images [B, C, H, W] for it."""
    return {OPPOSITE_BORDERS: opposite_borders(few_BCHW.transpose(0, 2, 3, 1), reading.ground)}


def opposite_borders(images: Iterable[NDArray[np.uint8]], ground: tuple[int, ...]) -> float:
    """The share of images [H, W, C] whose border is on the other side of the middle than the ground."""
    return float(np.mean([_is_bright(image_HWC) != (np.mean(ground) > MIDDLE) for image_HWC in images]))


def _is_bright(pixels_HWC: NDArray[np.uint8]) -> bool:
    edges = (pixels_HWC[0], pixels_HWC[-1], pixels_HWC[:, 0], pixels_HWC[:, -1])
    return bool(np.median(np.concatenate(edges).mean(1)) > MIDDLE)
