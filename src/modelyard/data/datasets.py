"""The data set as every other room sees it, and its packed form on disk.

Shape suffixes: N images, C channels, H height, W width.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from modelyard.data.names import check_classes
from modelyard.errors import DataError
from modelyard.files import folder_written_whole, open_regular, write_json

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Rows = NDArray[np.int64]
HEADER_FILE = "dataset.json"
ARRAY_FILES = ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy")
BLOCK_BYTES = 64_000_000
"""Pixels read at once where all of them may exceed memory."""
OnProgress = Callable[[str, int, int], None]
"""Told of long work: what is done, how much of it, of how much."""


def unheard(_what: str, _done: int, _total: int) -> None:
    """The `OnProgress` that tells nobody."""


def block_rows(image_shape: tuple[int, ...]) -> int:
    """How many images fit in `BLOCK_BYTES`, at least one."""
    return max(1, BLOCK_BYTES // int(np.prod(image_shape)))


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

    def blocks(self) -> Iterator[Images]:
        """All images in order, uint8 [B, C, H, W], `BLOCK_BYTES` at a time."""
        rows = block_rows(self.stored_MCHW.shape[1:])
        return (self.gather(slice(start, start + rows)) for start in range(0, len(self), rows))

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
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from, for people: source, date, forms of the files, what was left out. Not part of the digest."""
    folder: Path | None = None
    """Where `ARRAY_FILES` of just this content lie, if they do."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        _, channels, height, width = self.train.stored_MCHW.shape
        return channels, height, width


def make_dataset(name: str, train: Split, test: Split, classes: tuple[str, ...]) -> Dataset:
    """Check that the parts fit together and name the whole by its content.

    Raises: DataError when images and labels differ in number, a label has no class or a class no proper name.
    """
    check_classes(classes)
    for part, split in (("train", train), ("test", test)):
        _check_split(f"{name} {part}", split, len(classes))
    return Dataset(name, train, test, classes, content_digest(train, test, classes))


def _check_split(what: str, split: Split, num_classes: int) -> None:
    if split.rows_N is None and len(split.stored_MCHW) != len(split.labels_N):
        raise DataError(
            f"{what}: {len(split.stored_MCHW)} images but {len(split.labels_N)} labels;"
            " the files do not belong together, fetch them again"
        )
    low, high = int(split.labels_N.min(initial=0)), int(split.labels_N.max(initial=0))
    if low < 0 or high >= num_classes:
        raise DataError(
            f"{what}: expected labels in 0..{num_classes - 1}, one for each class name, found {low}..{high};"
            " correct the labels or the class names"
        )


def content_digest(train: Split, test: Split, classes: tuple[str, ...]) -> str:
    """sha256 over the decoded arrays and class names: one changed pixel changes it."""
    digest = hashlib.sha256(json.dumps(classes).encode())
    for split in (train, test):
        digest.update(json.dumps([len(split), *split.stored_MCHW.shape[1:]]).encode())
        for block in split.blocks():
            digest.update(block.data)
        digest.update(np.ascontiguousarray(split.labels_N).tobytes())
    return digest.hexdigest()


def pack(dataset: Dataset, folder: Path) -> Dataset:
    """Have the data set in `folder` as memory-mappable arrays, whole or not at all; gives it as opened from there.

    Arrays that lie on disk already share their blocks where the file system can; a folder that is there is verified.
    Raises: DataError when that one was altered.
    """
    if folder.exists():
        return open_packed(folder, verify=not _is_shared(dataset, folder))
    with folder_written_whole(folder) as scratch:
        if dataset.folder is None:
            for part, split in (("train", dataset.train), ("test", dataset.test)):
                write_images(scratch / f"{part}_images.npy", dataset.image_shape, split.blocks())
                np.save(scratch / f"{part}_labels.npy", split.labels_N)
        else:
            for name in ARRAY_FILES:
                _link_or_copy(dataset.folder / name, scratch / name)
        header = {"name": dataset.name, "classes": dataset.classes, "digest": dataset.digest, "origin": dict(dataset.origin)}
        write_json(scratch / HEADER_FILE, header)
    return open_packed(folder, verify=False)


def _is_shared(dataset: Dataset, folder: Path) -> bool:
    """Whether `folder` holds the very files of `dataset`, which was verified when it was opened or made."""
    try:
        return dataset.folder is not None and all((folder / name).samefile(dataset.folder / name) for name in ARRAY_FILES)
    except OSError:
        return False


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)


def write_images(path: Path, image_shape: tuple[int, ...], blocks: Iterable[Images]) -> None:
    """A .npy file of however many images come. Not through a memory map: there a full disk kills the process (SIGBUS)."""
    count = 0
    with path.open("wb") as stream:
        _write_npy_header(stream, (count, *image_shape))
        for block in blocks:
            stream.write(np.ascontiguousarray(block).data)
            count += len(block)
        stream.seek(0)
        _write_npy_header(stream, (count, *image_shape))  # numpy pads it so that a longer count fits


def _write_npy_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})


def open_packed(folder: Path, *, verify: bool = True) -> Dataset:
    """Open a packed data set, memory-mapped.

    verify: read all of it and compare the digest; leave out only what this run has verified already.
    Raises: DataError when the folder is incomplete or its content was altered.
    """
    try:
        for file in (HEADER_FILE, *ARRAY_FILES):
            open_regular(folder / file).close()
        header = json.loads((folder / HEADER_FILE).read_text())
        train, test = (_open_split(folder, part) for part in ("train", "test"))
        name, classes, digest = header["name"], tuple(header["classes"]), header["digest"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"packed data set {folder} cannot be read ({error}); delete the folder and run again") from error
    if verify and (found := make_dataset(name, train, test, classes).digest) != digest:
        raise DataError(
            f"packed data set {folder}: expected digest {digest[:12]}, found {found[:12]};"
            " it was altered, delete the folder and run again"
        )
    return Dataset(name, train, test, classes, digest, header.get("origin", {}), folder)


def _open_split(folder: Path, part: str) -> Split:
    images_NCHW = np.load(folder / f"{part}_images.npy", mmap_mode="r", allow_pickle=False)
    labels_N = np.load(folder / f"{part}_labels.npy", allow_pickle=False)
    return Split(images_NCHW, labels_N)
