"""CIFAR-10's binary version: records of one label byte and 3,072 pixel bytes, read in place, nothing
unpickled.

https://www.cs.toronto.edu/~kriz/cifar.html, section "Binary version".
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.errors import DataError
from modelyard.files import open_regular, read_regular

ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
FOLDER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE, CLASSES_FILE = "test_batch.bin", "batches.meta.txt"
FILES = (*TRAIN_FILES, TEST_FILE, CLASSES_FILE)
SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
MOST_BYTES = 250_000_000
"""Of one file, and of the archive unpacked; the publisher's has 184 MB."""


def holds_cifar(folder: Path) -> bool:
    """Whether the folder has the binary files, their own folder or the archive."""
    return any((folder / name).exists() for name in (TEST_FILE, f"{FOLDER}/{TEST_FILE}", ARCHIVE))


def read_cifar(folder: Path) -> Dataset:
    """CIFAR-10 from a folder for which `holds_cifar`. Raises: DataError when a file is missing or damaged."""
    content = _content(folder)
    if missing := [name for name in FILES if name not in content]:
        raise DataError(
            f"{folder}: expected {', '.join(missing)} beside the other files; fetch the data set again"
        )
    train = [_split(folder / name, content[name]) for name in TRAIN_FILES]
    return make_dataset(
        "cifar10",
        Split(
            np.concatenate([part.samples for part in train]),
            np.concatenate([part.labels_N for part in train]),
        ),
        _split(folder / TEST_FILE, content[TEST_FILE]),
        tuple(content[CLASSES_FILE].decode(errors="surrogateescape").split()),
    )


def _content(folder: Path) -> Mapping[str, bytes]:
    """File name -> bytes; the archive is read without being unpacked, so that no path in it can do harm."""
    try:
        for place in (folder, folder / FOLDER):
            if (place / TEST_FILE).exists():
                return {
                    name: read_regular(place / name, MOST_BYTES) for name in FILES if (place / name).exists()
                }
        with open_regular(folder / ARCHIVE) as packed, gzip.open(packed) as unpacked:
            content = unpacked.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise tarfile.ReadError(f"{ARCHIVE} unpacks to more than {MOST_BYTES} bytes")
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = [
                member for member in archive if member.isfile() and not member.issparse()
            ]  # its holes have any size
            streams = {
                name: archive.extractfile(one) for one in members if (name := Path(one.name).name) in FILES
            }
            return {name: stream.read() for name, stream in streams.items() if stream is not None}
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(
            f"{folder}: cannot be read ({error}); a file is truncated or damaged, fetch it again"
        ) from error


def _split(path: Path, content: bytes) -> Split:
    if not content or len(content) % RECORD_BYTES:
        raise DataError(
            f"{path}: expected records of {RECORD_BYTES} bytes, found {len(content)} bytes; it is "
            "truncated, fetch it again"
        )
    records_NR = np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)
    return Split(records_NR[:, 1:].reshape(-1, *SHAPE), records_NR[:, 0].astype(np.int64))
