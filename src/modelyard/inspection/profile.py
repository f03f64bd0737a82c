"""What later runs need to know of a data set when its images are gone: counts, equal images, how bright they
are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelyard.config import Config
from modelyard.data.datasets import Dataset, Labels, Samples, Split
from modelyard.errors import StoreError
from modelyard.files import write_json
from modelyard.home import Home
from modelyard.inspection.inspect import pixel_digest
from modelyard.samples import ImageForm

BINS_PER_GREY = 4
"""Histograms of 0.25 grey levels of 0..255: some hundred bins, however many images there are."""
CHUNK_BYTES = 1_000_000
"""Pixels squared at once; they then stay in the processor's cache."""

Histogram = dict[int, int]
"""Bin -> how many images lie in it; empty bins are left out."""


class SplitProfile(Config):
    """One split in numbers."""

    counts: tuple[int, ...]
    """Images of each class, in the order of the classes."""
    channel_mean: tuple[float, ...]
    """Of all pixels, 0..255."""
    channel_std: tuple[float, ...]
    means: Histogram
    """Of each image's mean."""
    stds: Histogram
    """Of each image's standard deviation."""
    blank: int
    """Images of one colour."""
    duplicates: int
    """Images equal to an earlier one of the split."""

    @property
    def images(self) -> int:
        return sum(self.counts)


class Profile(Config):
    """A data set in numbers, enough for tests against another one without the images of either."""

    schema_version: Literal[1] = 1
    name: str
    digest: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    """Channels, height, width."""
    train: SplitProfile
    test: SplitProfile
    leaks: int
    """Test images that are also in train."""

    @property
    def form(self) -> ImageForm:
        return ImageForm(*self.image_shape)


def profile_of(dataset: Dataset) -> Profile:
    """Read every image once, a block at a time."""
    num_classes = len(dataset.classes)
    train, in_train = _profile_split(dataset.train, num_classes)
    test, in_test = _profile_split(dataset.test, num_classes)
    known = set(in_train)
    return Profile(
        name=dataset.name, digest=dataset.digest, classes=dataset.classes, image_shape=dataset.form.chw,
        train=train, test=test, leaks=sum(digest in known for digest in in_test),
    )  # fmt: skip


def kept_profile(home: Home, dataset: Dataset) -> Profile:
    """The profile kept in the store; made and kept when it is not there. It outlives the data's step."""
    kept = read_profile(home, dataset.digest)
    if kept is None:
        kept = profile_of(dataset)
        write_json(_place(home, dataset.digest), kept.model_dump(mode="json"))
    return kept


def read_profile(home: Home, digest: str) -> Profile | None:
    """What the store knows of the data with this digest; None for nothing, or nothing that can be read."""
    try:
        profile = Profile.model_validate_json(_place(home, digest).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise StoreError(
            f"{_place(home, digest)} cannot be read ({error.strerror}); mend its permissions"
        ) from error
    return profile if profile.digest == digest else None


def _place(home: Home, digest: str) -> Path:
    return home.profiles / f"{digest}.json"


def _profile_split(split: Split, num_classes: int) -> tuple[SplitProfile, list[bytes]]:
    """The split in numbers, and the digest of each image [N]."""
    digests: list[bytes] = []
    sums, squares, blank = [], [], 0
    for block_BCHW in _chunks(split):
        sums.append(block_BCHW.sum((2, 3), dtype=np.int64))
        squares.append(np.square(block_BCHW, dtype=np.uint32).sum((2, 3), dtype=np.int64))
        blank += int((block_BCHW == block_BCHW[:, :, :1, :1]).all((1, 2, 3)).sum())
        digests += map(pixel_digest, block_BCHW)
    none = np.zeros((0, split.form.channels), np.int64)
    sums_NC, squares_NC = (np.concatenate([none, *parts]) for parts in (sums, squares))
    pixels = math.prod(split.form.size)
    mean_C, std_C = _moments(sums_NC.sum(0), squares_NC.sum(0), max(1, len(split)) * pixels)
    mean_N, std_N = _moments(sums_NC.sum(1), squares_NC.sum(1), pixels * sums_NC.shape[1])
    profile = SplitProfile(
        counts=_counts(split.labels_N, num_classes),
        channel_mean=tuple(mean_C.round(4)),
        channel_std=tuple(std_C.round(4)),
        means=_histogram(mean_N),
        stds=_histogram(std_N),
        blank=blank,
        duplicates=len(digests) - len(set(digests)),
    )
    return profile, digests


def _chunks(split: Split) -> Iterator[Samples]:
    """All images in order, about `CHUNK_BYTES` at a time."""
    rows = max(1, CHUNK_BYTES // split.form.values)
    for block_BCHW in split.blocks():
        yield from (block_BCHW[start : start + rows] for start in range(0, len(block_BCHW), rows))


def _counts(labels_N: Labels, num_classes: int) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(labels_N, minlength=num_classes))


def _moments(
    sums: NDArray[np.int64], squares: NDArray[np.int64], pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation from sums over so many pixels."""
    mean = sums / pixels
    return mean, np.sqrt(np.maximum(squares / pixels - mean**2, 0))


def _histogram(values_N: NDArray[np.float64]) -> Histogram:
    bins, counts = np.unique(np.floor(values_N * BINS_PER_GREY).astype(np.int64), return_counts=True)
    return dict(zip(bins.tolist(), counts.tolist(), strict=True))
