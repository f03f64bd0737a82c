"""How bright images are, and which of them are of one colour.

B batch, C channels, H height, W width, N images.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Dataset, Samples, Split
from modelyard.inspection.measures.protocol import Bin, Looked, Measures, Row
from modelyard.samples import ImageForm

BINS_PER_GREY = 4
"""Histograms of 0.25 grey levels of 0..255: some hundred bins, however many images there are."""
CHUNK_BYTES = 1_000_000
"""Pixels squared at once; they then stay in the processor's cache."""
MOST_CELLS = 8
"""Along a side of an image, which is averaged over them."""
MEANS, STDS = "image means", "image deviations"
MEAN, STD = "mean pixel by channel", "deviation by channel"


def quarter_greys(values_N: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each value in 0..255."""
    return np.floor(values_N * BINS_PER_GREY).astype(np.int64)


class OfImages(Measures):
    """Brightness and contrast."""

    empty = "blank"
    sheet = "contact sheet"
    drift = "pixel_drift"
    bins: Mapping[str, Bin] = {MEANS: quarter_greys, STDS: quarter_greys}
    draws = ()

    def look_at(self, split: Split) -> Looked:
        """Read every image once, a block at a time."""
        digests: list[bytes] = []
        sums, squares, blank = [], [], 0
        for block_BCHW in _chunks(split):
            sums.append(block_BCHW.sum((2, 3), dtype=np.int64))
            squares.append(np.square(block_BCHW, dtype=np.uint32).sum((2, 3), dtype=np.int64))
            blank += int((block_BCHW == block_BCHW[:, :, :1, :1]).all((1, 2, 3)).sum())
            digests += map(pixel_digest, block_BCHW)
        channels, *size = split.samples.shape[1:]
        none, pixels = np.zeros((0, channels), np.int64), math.prod(size)
        sums_NC, squares_NC = (np.concatenate([none, *parts]) for parts in (sums, squares))
        mean_C, std_C = _moments(sums_NC.sum(0), squares_NC.sum(0), max(1, len(split)) * pixels)
        mean_N, std_N = _moments(sums_NC.sum(1), squares_NC.sum(1), pixels * channels)
        overall = {MEAN: tuple(mean_C.round(4).tolist()), STD: tuple(std_C.round(4).tolist())}
        return Looked(digests, blank, {MEANS: mean_N, STDS: std_N}, {}, overall)

    def facts(self, dataset: Dataset, _train: Looked, _test: Looked) -> dict[str, Any]:
        """What all images have in common."""
        return {"shape (channels, height, width)": list(dataset.train.samples.shape[1:])}

    def advice(self, _found: Mapping[str, Any]) -> Iterator[str]:
        """None beyond that of every kind."""
        yield from ()

    def shown(self, _sample: Samples) -> dict[str, str]:
        """A table shows no image."""
        return {}

    def draw(self, dataset: Dataset, path: Path) -> None:
        """The contact sheet."""
        from modelyard.inspection.contact_sheet import draw_contact_sheet  # matplotlib's font, Pillow

        draw_contact_sheet(dataset, path)

    def traits(self, split: Split) -> NDArray[np.float32]:
        """Mean brightness of a few cells, of each channel."""
        none_0F = cells(np.zeros((0, *split.samples.shape[1:]), np.uint8))
        return np.concatenate([none_0F, *map(cells, _chunks(split))])

    def named(self, _sample: Samples, place: str) -> dict[str, str]:
        """Its file."""
        return {"image": place}

    def draw_list(self, split: Split, rows: Sequence[Row], note: str, path: Path) -> None:
        """A contact sheet, numbered from 1."""
        from modelyard.inspection.contact_sheet import draw_captioned

        captions = [(f"{n}: {row['probability']:.0%}", row["answer"]) for n, row in enumerate(rows, 1)]
        draw_captioned(split, captions, note, path)

    def from_schema_1(self, value: dict[str, Any]) -> dict[str, Any]:
        """Of images alone."""
        channels, height, width = value.pop("image_shape")
        sides = {"channels": channels, "height": height, "width": width}
        parts = {part: _split_from_schema_1(value.pop(part)) for part in ("train", "test")}
        return value | parts | {"schema_version": 2, "kind": ImageForm.kind, "sides": sides}


def _split_from_schema_1(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "counts": value["counts"],
        "histograms": {MEANS: value["means"], STDS: value["stds"]},
        "draws": {},
        "overall": {MEAN: value["channel_mean"], STD: value["channel_std"]},
        "empty": value["blank"],
        "duplicates": value["duplicates"],
    }


def pixel_digest(image_CHW: Samples) -> bytes:
    """The same for equal images; `image_CHW` is contiguous."""
    return hashlib.blake2b(image_CHW.data, digest_size=16).digest()


def cells(images_NCHW: Samples) -> NDArray[np.float32]:
    """Of each image the mean of at most `MOST_CELLS` x `MOST_CELLS` cells [N, F]."""
    found: NDArray[Any] = images_NCHW.swapaxes(2, 3).astype(np.float32)
    for side in images_NCHW.shape[:1:-1]:
        edges = np.linspace(0, side, min(side, MOST_CELLS) + 1).astype(int)
        found = np.add.reduceat(found.swapaxes(2, 3), edges[:-1], 3) / np.diff(edges)
    return found.reshape(len(found), math.prod(found.shape[1:])).astype(np.float32)


def _chunks(split: Split) -> Iterator[Samples]:
    """All images in order, about `CHUNK_BYTES` at a time."""
    rows = max(1, CHUNK_BYTES // split.form.values)
    for block_BCHW in split.blocks():
        yield from (block_BCHW[start : start + rows] for start in range(0, len(block_BCHW), rows))


def _moments(
    sums: NDArray[np.int64], squares: NDArray[np.int64], pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation from sums over so many pixels."""
    mean = sums / pixels
    return mean, np.sqrt(np.maximum(squares / pixels - mean**2, 0))
