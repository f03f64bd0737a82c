"""Golden samples: arrays of an .npz file that anybody may have written."""

from __future__ import annotations

import math
import zipfile
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

GOLDEN_ROWS, GOLDEN_BYTES = 256, 256 * 2**20
"""Nothing larger is read."""


def read_array(
    archive: zipfile.ZipFile, name: str, row: tuple[int | None, ...], *types: type[np.generic]
) -> NDArray[Any]:
    """An array of rows like `row` (None is free) and of one of `types`; whatever its header or the archive's
    directory says, no more bytes are unpacked. Raises: ValueError, and what zipfile, zlib and numpy raise.
    """
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError(f"{name} is packed in another way than numpy's")
    with archive.open(member) as stream:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError(f"{name} is of another format than 1.0")
        shape, by_column, found = npy.read_array_header_1_0(stream)
        size = math.prod(shape) * found.itemsize
        fits = found in types and not by_column and 0 < shape[0] <= GOLDEN_ROWS and _is_like(shape[1:], row)
        if not fits or size > GOLDEN_BYTES:
            raise ValueError(
                f"expected at most {GOLDEN_ROWS} {name} of {list(row)}, received {list(shape)} of {found}"
            )
        content = stream.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} has another length than its header says")
    return np.frombuffer(content, found).reshape(shape)


def _is_like(row: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(row) == len(wanted) and all(
        extent in {one, None} for one, extent in zip(row, wanted, strict=True)
    )
