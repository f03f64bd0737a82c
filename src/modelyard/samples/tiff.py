"""A TIFF file under a directory that holds only what its pixels need: Pillow would read whatever a file's own
one leads to.

EXIF, XMP, profiles and thumbnails, damaged or not, countless or endless, are never looked at; further pages
neither.
"""

from __future__ import annotations

import ctypes
import struct
from contextlib import suppress
from functools import cache

NEEDED = frozenset(
    (
        256,
        257,
        258,
        259,
        262,
        266,
        273,
        274,
        277,
        278,
        279,
        284,
        292,
        293,
        317,
        320,
        322,
        323,
        324,
        325,
        338,
        339,
        347,
        529,
        530,
        531,
        532,
    )
)
"""Size, depth, colours, orientation, and where the pixels lie and how they are packed."""
WIDTH, LENGTH, COMPRESSION, SAMPLES, ROWS_PER_STRIP, TILE_WIDTH, TILE_LENGTH = (
    256,
    257,
    259,
    277,
    278,
    322,
    323,
)
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
"""Bytes of a value, by its type."""
WHOLE = {1: "B", 3: "H", 4: "L", 16: "Q"}
COMPRESSIONS = frozenset((1, 2, 3, 4, 5, 7, 8, 32773, 32946))
"""None, fax, LZW, JPEG, deflate, packbits. Old JPEG (6) has a decoder of many flaws, the others are rare."""
MAX_ENTRIES, MAX_SAMPLES, MAX_VALUE_BYTES, LEAST_TILE = 4096, 6, 2**20, 2**20


def plain_tiff(picture: bytes) -> bytes:
    """The same pixels and orientation. Raises: ValueError for what is damaged or needs more memory than its
    pixels do.
    """
    order = "<" if picture[:2] == b"II" else ">"
    is_big = picture[2:4] in {b"+\0", b"\0+"}
    word, entry, count_code, inline = ("Q", "HHQ", "Q", 8) if is_big else ("L", "HHL", "H", 4)
    try:
        start = 8 if is_big else 4
        (at,) = struct.unpack_from(order + word, picture, start)
        (count,) = struct.unpack_from(order + count_code, picture, at)
        if count > MAX_ENTRIES:
            raise ValueError(f"{count} entries in its directory")
        at, step = at + struct.calcsize(order + count_code), struct.calcsize(order + entry) + inline
        entries: dict[int, bytes] = {}
        numbers: dict[int, int] = {}
        for place in range(at, at + count * step, step):
            tag, type_, values = struct.unpack_from(order + entry, picture, place)
            if tag not in NEEDED or tag in entries or type_ not in SIZES:
                continue
            if values * SIZES[type_] > MAX_VALUE_BYTES:
                raise ValueError(f"{values} values of tag {tag}")
            entries[tag] = picture[place : place + step]
            if values == 1 and type_ in WHOLE:
                (numbers[tag],) = struct.unpack_from(order + WHOLE[type_], picture, place + step - inline)
    except (struct.error, OverflowError) as error:
        raise ValueError("its directory is damaged") from error
    _check(entries, numbers)
    if numbers.get(ROWS_PER_STRIP, 0) >= numbers[LENGTH]:
        del entries[
            ROWS_PER_STRIP
        ]  # a strip has no more rows than the picture: room is made for what it says
    body = picture if len(picture) % 2 == 0 else picture + b"\0"
    directory = (
        struct.pack(order + count_code, len(entries))
        + b"".join(entries[tag] for tag in sorted(entries))
        + bytes(inline)
    )
    return body[:start] + struct.pack(order + word, len(body)) + body[start + inline :] + directory


def _check(entries: dict[int, bytes], numbers: dict[int, int]) -> None:
    if not {WIDTH, LENGTH} <= numbers.keys():
        raise ValueError("its directory says no size")
    if not 0 < numbers.get(SAMPLES, 1) <= MAX_SAMPLES:
        raise ValueError(f"{numbers[SAMPLES]} samples a pixel")
    if (packing := numbers.get(COMPRESSION, 1)) not in COMPRESSIONS:
        raise ValueError(
            f"packed in a way ({packing}) that is not read; save it uncompressed, as LZW or deflate"
        )
    tile = numbers.get(TILE_WIDTH, 0) * numbers.get(TILE_LENGTH, 0)
    if tile > 2 * max(LEAST_TILE, numbers[WIDTH] * numbers[LENGTH]) or {TILE_WIDTH, TILE_LENGTH} & (
        entries.keys() - numbers
    ):
        raise ValueError("its tiles are larger than the picture")


@cache
def hush_libtiff(pillow: str) -> None:
    """What it finds wrong it writes to standard error itself, a line for each row of a picture; `pillow`: its
    library.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(pillow)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)
