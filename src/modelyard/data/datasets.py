"""The data set as every other room sees it, and its packed form on disk.

Shape suffixes: N images, C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import DataError
from modelyard.files import folder_written_whole, write_json

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Rows = NDArray[np.int64]
BLOCK = 4096
"""Images read at once where all of them may exceed memory."""


@dataclass(frozen=True, slots=True)
class Split:
    """Labelled images; a subset shares the stored pixels (which may be memory-mapped) and names its rows."""

    stored_MCHW: Images
    """uint8 [M, C, H, W] as stored."""
    labels_N: Labels
    """int64 [N]."""
    rows_N: Rows | None = None
    """Which stored rows belong to the split; None means all, in order."""

    def __len__(self) -> int:
        return len(self.labels_N)

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes."""
        return len(self) * int(np.prod(self.stored_MCHW.shape[1:]))

    @property
    def images_NCHW(self) -> Images:
        """All images in memory, uint8 [N, C, H, W]."""
        return self.gather(slice(None))

    def gather(self, which: slice | Rows) -> Images:
        """Some images in memory, uint8 [B, C, H, W]."""
        chosen = self.stored_MCHW[which if self.rows_N is None else self.rows_N[which]]
        return np.array(chosen, order="C", copy=isinstance(which, slice) or None)  # a slice would be a read-only view

    def take(self, indices: Rows) -> Split:
        """The split of the images at `indices`; no pixel is copied."""
        rows_N = indices if self.rows_N is None else self.rows_N[indices]
        return Split(self.stored_MCHW, self.labels_N[indices], rows_N)


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
        _, channels, height, width = self.train.stored_MCHW.shape
        return channels, height, width


def make_dataset(name: str, train: Split, test: Split, classes: tuple[str, ...]) -> Dataset:
    """Check that the parts fit together and name the whole by its content.

    Raises: DataError when images and labels differ in number or a label has no class.
    """
    for part, split in (("train", train), ("test", test)):
        if split.rows_N is None and len(split.stored_MCHW) != len(split.labels_N):
            raise DataError(
                f"{name} {part}: {len(split.stored_MCHW)} images but {len(split.labels_N)} labels;"
                " the files do not belong together, fetch them again"
            )
        if len(split) and not 0 <= int(split.labels_N.min()) <= int(split.labels_N.max()) < len(classes):
            raise DataError(f"{name} {part}: labels must lie in 0..{len(classes) - 1}, one for each class name")
    return Dataset(name, train, test, classes, content_digest(train, test, classes))


def content_digest(train: Split, test: Split, classes: tuple[str, ...]) -> str:
    """sha256 over the decoded arrays and class names: one changed pixel changes it."""
    digest = hashlib.sha256(json.dumps(classes).encode())
    for split in (train, test):
        digest.update(json.dumps([len(split), *split.stored_MCHW.shape[1:]]).encode())
        for start in range(0, len(split), BLOCK):
            digest.update(split.gather(slice(start, start + BLOCK)).data)
        digest.update(np.ascontiguousarray(split.labels_N).tobytes())
    return digest.hexdigest()


def pack(dataset: Dataset, folder: Path) -> None:
    """Write the data set as memory-mappable arrays, whole or not at all."""
    with folder_written_whole(folder) as scratch:
        for part, split in (("train", dataset.train), ("test", dataset.test)):
            blocks = (split.gather(slice(start, start + BLOCK)) for start in range(0, len(split), BLOCK))
            write_images(scratch / f"{part}_images.npy", (len(split), *dataset.image_shape), blocks)
            np.save(scratch / f"{part}_labels.npy", split.labels_N)
        write_json(scratch / "dataset.json", {"name": dataset.name, "classes": dataset.classes, "digest": dataset.digest})


def write_images(path: Path, shape: tuple[int, ...], blocks: Iterable[Images]) -> None:
    """A .npy file of `shape` from its parts. Not through a memory map: there a full disk kills the process (SIGBUS)."""
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for block in blocks:
            stream.write(np.ascontiguousarray(block).data)


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
