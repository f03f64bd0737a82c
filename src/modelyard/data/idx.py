"""The IDX format of MNIST (magic, big-endian sizes, bytes), gzipped or not."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import DataError


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
