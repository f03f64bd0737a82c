"""The data set as every other room sees it, and its packed form on disk.

Shape suffixes: N images, C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import DataError
from modelyard.files import folder_written_whole, write_json

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """Images uint8 [N, C, H, W] and labels int64 [N]."""

    images_NCHW: Images
    labels_N: Labels

    def __len__(self) -> int:
        return len(self.labels_N)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The rows at `indices`, copied."""
        return Split(self.images_NCHW[indices], self.labels_N[indices])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named data set with its two given splits, class names and content digest."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    digest: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, channels, height, width = self.train.images_NCHW.shape
        return channels, height, width


def make_dataset(name: str, train: Split, test: Split, classes: tuple[str, ...]) -> Dataset:
    """Check that the parts fit together and name the whole by its content.

    Raises: DataError when images and labels differ in number or a label has no class.
    """
    for part, split in (("train", train), ("test", test)):
        if len(split.images_NCHW) != len(split.labels_N):
            raise DataError(
                f"{name} {part}: {len(split.images_NCHW)} images but {len(split.labels_N)} labels;"
                " the files do not belong together, fetch them again"
            )
        if len(split) and not 0 <= int(split.labels_N.min()) <= int(split.labels_N.max()) < len(classes):
            raise DataError(f"{name} {part}: labels must lie in 0..{len(classes) - 1}, one for each class name")
    return Dataset(name, train, test, classes, content_digest(train, test, classes))


def content_digest(train: Split, test: Split, classes: tuple[str, ...]) -> str:
    """sha256 over the decoded arrays and class names: one changed pixel changes it."""
    digest = hashlib.sha256(json.dumps(classes).encode())
    for split in (train, test):
        digest.update(json.dumps(split.images_NCHW.shape).encode())
        for start in range(0, len(split), 4096):  # by blocks: memory-mapped data may exceed memory
            digest.update(np.ascontiguousarray(split.images_NCHW[start : start + 4096]).tobytes())
        digest.update(np.ascontiguousarray(split.labels_N).tobytes())
    return digest.hexdigest()


def pack(dataset: Dataset, folder: Path) -> None:
    """Write the data set as memory-mappable arrays, whole or not at all."""
    with folder_written_whole(folder) as scratch:
        for part, split in (("train", dataset.train), ("test", dataset.test)):
            np.save(scratch / f"{part}_images.npy", split.images_NCHW)
            np.save(scratch / f"{part}_labels.npy", split.labels_N)
        write_json(
            scratch / "dataset.json",
            {
                "name": dataset.name,
                "classes": dataset.classes,
                "digest": dataset.digest,
            },
        )


def open_packed(folder: Path) -> Dataset:
    """Open a packed data set, memory-mapped, after checking its digest.

    Raises: DataError when the folder is incomplete or its content was altered.
    """
    try:
        header = json.loads((folder / "dataset.json").read_text())
        train, test = (_open_split(folder, part) for part in ("train", "test"))
        dataset = make_dataset(header["name"], train, test, tuple(header["classes"]))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"packed data set {folder} cannot be read ({error}); delete the folder and run again") from error
    if dataset.digest != header["digest"]:
        raise DataError(
            f"packed data set {folder}: expected digest {header['digest'][:12]}, found {dataset.digest[:12]};"
            " it was altered, delete the folder and run again"
        )
    return dataset


def _open_split(folder: Path, part: str) -> Split:
    images_NCHW = np.load(folder / f"{part}_images.npy", mmap_mode="r", allow_pickle=False)
    labels_N = np.load(folder / f"{part}_labels.npy", allow_pickle=False)
    return Split(images_NCHW, labels_N)
