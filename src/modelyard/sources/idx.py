"""The IDX format of MNIST (magic, big-endian sizes, bytes), gzipped or not, and folders of four
such files.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.errors import DataError
from modelyard.files import open_regular, read_regular
from modelyard.machine.memory import available_bytes

CLASSES_FILE = "classes.txt"
"""Class names of an IDX folder, a line each; without it they are the label numbers."""
MOST_CLASSES_BYTES = 1_000_000
PACKED_AT_MOST = 1032
"""Bytes that one byte of gzip can stand for (zlib's technical details, "Maximum Compression Factor")."""


def holds_idx(folder: Path) -> bool:
    """Whether the folder has training images as IDX."""
    return any((folder / f"train-images-idx3-ubyte{suffix}").exists() for suffix in ("", ".gz"))


def read_idx_folder(
    folder: Path, name: str, classes: Sequence[str] = (), digests: Mapping[str, str] | None = None
) -> Dataset:
    """The data set in `train-` and `t10k-images-idx3-ubyte` and `-labels-idx1-ubyte`, each gzipped or not.

    digests: stem -> sha256 of the decompressed content, where it is known.
    Raises: DataError when a file is missing, damaged or altered, or the four do not belong together.
    """

    def array(stem: str, num_axes: int, rows: int | None = None) -> NDArray[np.uint8]:
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.exists():
                return read_idx(path, num_axes=num_axes, digest=(digests or {}).get(stem), rows=rows)
        raise DataError(
            f"{folder}: expected {stem} or {stem}.gz beside the other files; fetch the data set again"
        )

    def split(part: str) -> Split:
        labels_N = array(f"{part}-labels-idx1-ubyte", 1).astype(np.int64)
        return Split(array(f"{part}-images-idx3-ubyte", 3, len(labels_N))[:, None], labels_N)

    train, test = split("train"), split("t10k")
    return make_dataset(name, train, test, tuple(classes or _class_names(folder, train)))


def _class_names(folder: Path, train: Split) -> list[str]:
    if (folder / CLASSES_FILE).exists():
        lines = (
            read_regular(folder / CLASSES_FILE, MOST_CLASSES_BYTES)
            .decode(errors="surrogateescape")
            .splitlines()
        )
        return [line.strip() for line in lines if line.strip()]
    return [str(label) for label in range(int(train.labels_N.max(initial=0)) + 1)]


def read_idx(path: Path, *, num_axes: int, digest: str | None, rows: int | None = None) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, `num_axes` axes; `rows`: so many labels there are.

    Raises: DataError when the file is truncated, altered or another kind of file.
    """
    try:
        with open_regular(path) as file:
            header, array = _read(path, file, num_axes, rows)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: cannot be read ({why}); the file is truncated or damaged, fetch it again"
        ) from error
    if digest is not None:
        content = hashlib.sha256(header)
        content.update(array.data)  # not joined to one: that would be the images once more in memory
        if (found := content.hexdigest()) != digest:
            raise DataError(
                f"{path}: expected content sha256 {digest[:12]}, found {found[:12]}; fetch the file again"
            )
    return array


def _read(path: Path, file: BinaryIO, num_axes: int, rows: int | None) -> tuple[bytes, NDArray[np.uint8]]:
    """Header and array; no more is unpacked than the header's sizes say. Raises: DataError, OSError,
    EOFError, zlib.error.
    """
    size_here, is_packed = os.fstat(file.fileno()).st_size, file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = gzip.GzipFile(fileobj=file) if is_packed else file
    header = stream.read(4 + 4 * num_axes)
    if len(header) < 4 + 4 * num_axes or header[:4] != bytes((0, 0, 8, num_axes)):
        raise DataError(
            f"{path}: expected an IDX file of bytes with {num_axes} axes, found "
            f"{header[:4].hex() or 'nothing'}"
        )
    shape = struct.unpack(f">{num_axes}I", header[4:])
    size, most = math.prod(shape), size_here * PACKED_AT_MOST if is_packed else size_here - len(header)
    if rows not in {None, shape[0]}:
        raise DataError(
            f"{path}: {shape[0]} images but {rows} labels; the files do not belong together, fetch them again"
        )
    if size == 0:
        raise DataError(
            f"{path}: expected images and pixels, its header says {' x '.join(map(str, shape))}; "
            "fetch it again"
        )
    if size > most or (size < most and not is_packed):
        raise DataError(f"{path}: expected {size} bytes after the header, found {most}; fetch it again")
    needed = size * (9 if num_axes == 1 else 1)  # labels are widened
    if needed > (free := available_bytes()):
        raise DataError(
            f"{path}: needs {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free; end other programs"
        )
    content = np.frombuffer(stream.read(size), np.uint8)
    if len(content) < size or stream.read(1):
        raise DataError(
            f"{path}: expected {size} bytes after the header, it is shorter or longer; fetch it again"
        )
    return header, content.reshape(shape)
