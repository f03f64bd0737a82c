"""The IDX format of MNIST (magic, big-endian sizes, bytes), gzipped or not, and folders of four such files."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.errors import DataError

CLASSES_FILE = "classes.txt"
"""Class names of an IDX folder, a line each; without it they are the label numbers."""


def holds_idx(folder: Path) -> bool:
    """Whether the folder has training images as IDX."""
    return any((folder / f"train-images-idx3-ubyte{suffix}").exists() for suffix in ("", ".gz"))


def read_idx_folder(folder: Path, name: str, classes: Sequence[str] = (), digests: Mapping[str, str] | None = None) -> Dataset:
    """The data set in `train-` and `t10k-images-idx3-ubyte` and `-labels-idx1-ubyte`, each gzipped or not.

    digests: stem -> sha256 of the decompressed content, where it is known.
    Raises: DataError when a file is missing, damaged or altered, or the four do not belong together.
    """

    def array(stem: str, num_axes: int) -> NDArray[np.uint8]:
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.exists():
                return read_idx(path, num_axes=num_axes, digest=(digests or {}).get(stem))
        raise DataError(f"{folder}: expected {stem} or {stem}.gz beside the other files; fetch the data set again")

    def split(part: str) -> Split:
        images_NHW = array(f"{part}-images-idx3-ubyte", 3)
        return Split(images_NHW[:, None], array(f"{part}-labels-idx1-ubyte", 1).astype(np.int64))

    train, test = split("train"), split("t10k")
    return make_dataset(name, train, test, tuple(classes or _class_names(folder, train)))


def _class_names(folder: Path, train: Split) -> list[str]:
    if (folder / CLASSES_FILE).exists():
        return [line.strip() for line in (folder / CLASSES_FILE).read_text().splitlines() if line.strip()]
    return [str(label) for label in range(int(train.labels_N.max(initial=0)) + 1)]


def read_idx(path: Path, *, num_axes: int, digest: str | None) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, `num_axes` axes.

    Raises: DataError when the file is truncated, altered or another kind of file.
    """
    content = _decompressed(path)
    if digest is not None and (found := hashlib.sha256(content).hexdigest()) != digest:
        raise DataError(f"{path}: expected content sha256 {digest[:12]}, found {found[:12]}; fetch the file again")
    header = 4 + 4 * num_axes
    if len(content) < header or content[:4] != bytes((0, 0, 8, num_axes)):
        raise DataError(f"{path}: expected an IDX file of bytes with {num_axes} axes, found {content[:4].hex() or 'nothing'}")
    shape = struct.unpack(f">{num_axes}I", content[4:header])
    if len(content) - header != int(np.prod(shape)):
        raise DataError(
            f"{path}: expected {np.prod(shape)} bytes after the header, found {len(content) - header}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _decompressed(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); the file is truncated or damaged, fetch it again") from error
