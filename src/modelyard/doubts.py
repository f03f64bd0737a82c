"""What speaks against a picture before a model answers: it is blank, or a negative of what the model was trained on.

N images, H height, W width, C channels, E pixels of the edge.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Manifest
from modelyard.reading import colour_name

OPPOSITE_BORDERS = "data/opposite_borders"
"""Metric: the share of training images whose border is as that of a negative."""
RARE = 0.01
"""Above it borders say nothing, as those of photos: a quarter of them is on the other side of the median's."""
DARK, MIDDLE, BRIGHT = 64, 127, 191
"""Of 0..255: grounds below the first and above the last are clear; a border is dark or bright beside the middle."""
BLANK_RANGE = 16
"""Of one colour with the noise of a camera; the faintest image of MNIST, Fashion-MNIST, CIFAR-10 and emoji has 25."""


def doubts(pixels_HWC: NDArray[np.uint8], manifest: Manifest, option: str, *, is_inverted: bool = False) -> list[str]:
    """Why the answer for a model's input may be worthless; `option` is how its picture can be, or was, inverted."""
    colours_2C = np.stack([pixels_HWC.min((0, 1)), pixels_HWC.max((0, 1))])
    advice = f"{'leave out' if is_inverted else 'try'} {option}"
    if np.ptp(colours_2C.astype(int), axis=0).max() < BLANK_RANGE:
        name = colour_name(tuple(int(value) for value in np.median(pixels_HWC, axis=(0, 1))))
        return [f"the picture is blank, {name} all over; if it is drawn in this colour on a transparent ground, {advice}"]
    usual = usual_border(manifest)
    found = "bright" if _brightness(pixels_HWC) > MIDDLE else "dark"
    if usual in {"", found}:
        return []
    return [f"the picture looks inverted: its border is {found}, that of the training images {usual}; {advice}"]


def usual_border(manifest: Manifest) -> str:
    """`dark` or `bright` where nearly all training images have such a border; else, or where nobody looked, nothing."""
    ground = float(np.mean(manifest.reading.ground))
    if manifest.metrics.get(OPPOSITE_BORDERS, 1.0) > RARE:
        return ""
    return "dark" if ground < DARK else "bright" if ground > BRIGHT else ""


def opposite_borders(images: Iterable[NDArray[np.uint8]], ground: tuple[int, ...]) -> float:
    """The share of images [H, W, C] whose border is on the other side of the middle than the ground."""
    is_dark = float(np.mean(ground)) <= MIDDLE
    return float(np.mean([(_brightness(image_HWC) > MIDDLE) == is_dark for image_HWC in images]))


def _brightness(pixels_HWC: NDArray[np.uint8]) -> float:
    """Of the outermost pixels, their median."""
    edges = (pixels_HWC[0], pixels_HWC[-1], pixels_HWC[:, 0], pixels_HWC[:, -1])
    return float(np.median(np.concatenate(edges).mean(1)))
