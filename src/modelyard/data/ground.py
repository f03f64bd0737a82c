"""How a folder's pictures are to be read, decided by its training images: what is white, and what transparent
parts lie on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import SAMPLES
from modelyard.machine.cores import usable_cores
from modelyard.samples.borders import Images, border_of, median_colour
from modelyard.samples.image import FileForm, UnreadableImage, read_form, read_image, read_on_grounds
from modelyard.samples.image_form import ImageForm
from modelyard.samples.reading import DEEPEST, Reading

BLACK, WHITE = (0,), (255,)
F = TypeVar("F")
T = TypeVar("T")


def guess_forms(files: Sequence[Path], form: ImageForm, max_pixels: int) -> list[FileForm]:
    """Forms of a sample of the files; with what their pixels alone tell, where their heads say that it may
    matter.
    """
    forms = list(sampled(files, lambda path: read_form(path, max_pixels)))
    if any(found.is_clear or found.mode.startswith("I") for found in forms):
        return list(
            sampled(files, lambda path: read_image(path, form, max_pixels=max_pixels)[0], usable_cores())
        )
    return forms


def white_for(forms: Sequence[FileForm]) -> int:
    """Of training images: the full range of as many bits as their greys of more than 8 use."""
    peak = max((form.peak for form in forms), default=0)
    return 2 ** peak.bit_length() - 1 if peak else DEEPEST


def with_ground(
    reading: Reading, files: Sequence[Path], form: ImageForm, forms: Sequence[FileForm]
) -> Reading:
    """With the ground of the training `files`, if something lies on it; it takes another look at some of
    them.
    """
    if not lies_on_ground(reading, forms):
        return reading
    return replace(reading, ground=_ground(files, form, replace(reading, fit="stretch")))


def lies_on_ground(reading: Reading, forms: Sequence[FileForm]) -> bool:
    """Whether the ground shows in a picture."""
    return reading.fit == "pad" or any(form.is_clear for form in forms)


def _ground(files: Sequence[Path], form: ImageForm, reading: Reading) -> tuple[int, ...]:
    """The median border of pictures that have one, else black or white: what is farther from what
    is drawn.
    """
    on_both = [replace(reading, ground=ground) for ground in (BLACK, WHITE)]
    borders: list[Images] = []
    drawn: list[NDArray[np.float64]] = []
    for on_black, on_white in sampled(
        files, lambda path: read_on_grounds(path, form, on_both)[1], usable_cores()
    ):
        if np.array_equal(border_of(on_black), border_of(on_white)):
            borders.append(border_of(on_black))
        alpha_HW = 1 - (on_white.astype(float) - on_black).mean(0) / 255
        is_seen_HW = alpha_HW >= 0.5
        drawn.append(on_black.mean(0)[is_seen_HW] / alpha_HW[is_seen_HW])
    levels = np.concatenate([*drawn, np.empty(0)])
    is_bright = bool(levels.size) and float(np.median(levels)) > 127
    return median_colour(borders) or form.channels * (BLACK if is_bright else WHITE)


def sampled(files: Sequence[F], read: Callable[[F], T], threads: int = 1) -> Iterator[T]:
    """Of at most `SAMPLES` evenly spaced files, the first included, what can be read."""

    def tried(file: F) -> list[T]:
        try:
            return [read(file)]
        except UnreadableImage:
            return []

    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(tried, files[:: -(-len(files) // SAMPLES) or 1]):
            yield from found
