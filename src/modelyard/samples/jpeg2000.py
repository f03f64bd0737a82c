"""The heads of a JPEG 2000 file: its decoder makes room for whatever tiles, layers and precincts they
promise.
"""

from __future__ import annotations

import struct

CODESTREAM, SIZE, STYLE, STYLE_OF_ONE, TILE_PART, DATA, END = (
    b"\xff\x4f\xff\x51",
    0xFF51,
    0xFF52,
    0xFF53,
    0xFF90,
    0xFF93,
    0xFFD9,
)
KNOWN = frozenset((0xFF50, SIZE, STYLE, 0xFF5C, 0xFF5D, 0xFF55, 0xFF57, 0xFF58, 0xFF64))
"""Marker segments of encoders: capabilities, size, coding style, quantisation, lengths, comments."""
MAX_BOXES, MAX_HEAD_BYTES, MAX_SEGMENTS = 64, 2**20, 4096
MAX_TILES, MAX_LAYERS, MAX_PRECINCTS = 1024, 64, 4096


def check_jpeg2000(picture: bytes) -> bytes:
    """The same file. Raises: ValueError when it is damaged or would take more memory than its pixels need."""
    try:
        start = 0 if picture.startswith(CODESTREAM) else _codestream(picture)
        if picture[start : start + 4] != CODESTREAM:
            raise ValueError("it holds no pixels")
        _check_segments(picture, start + 2)
    except (struct.error, IndexError) as error:
        raise ValueError("its head is damaged") from error
    return picture


def _codestream(picture: bytes) -> int:
    """Where the boxes end and the pixels begin."""
    at, has_head = 0, False
    for _ in range(MAX_BOXES):
        size, kind = struct.unpack_from(">I4s", picture, at)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", picture, at + 8), 16
        if kind == b"jp2c" and has_head:
            return at + head
        if size < head or kind == b"jp2c" or (kind == b"jp2h" and size > MAX_HEAD_BYTES):
            break
        has_head |= kind == b"jp2h"
        at += size
    raise ValueError("it has no head, or more boxes than a picture needs")


def _check_segments(picture: bytes, at: int) -> None:
    tile_end, sides = 0, (2**31, 2**31)
    for _ in range(MAX_SEGMENTS):
        marker, size = struct.unpack_from(">HH", picture, at)
        if marker == END:
            return
        if marker == DATA:  # the next part of a tile comes after its data
            at = tile_end
            if at + 4 > len(picture):
                return
            continue
        if marker == TILE_PART:
            (length,) = struct.unpack_from(">I", picture, at + 6)
            tile_end = at + length if length else len(picture)
            if tile_end <= at:
                raise ValueError("a tile of it has no length")
        elif marker == SIZE:
            sides = _sides(struct.unpack_from(">8IH", picture, at + 6))
        elif marker in {STYLE, STYLE_OF_ONE}:
            style = picture[at + 4 : at + 2 + size]  # of one component: its number, and no layers
            _check_style(style if marker == STYLE else style[1:2] + bytes(4) + style[2:], sides)
        elif marker not in KNOWN or size < 2:
            raise ValueError(f"it has a marker ({marker:04x}) that is not read; save it again")
        at += 2 + size
    raise ValueError("it has more parts than a picture needs")


def _sides(fields: tuple[int, ...]) -> tuple[int, int]:
    """Of the picture, which is where it begins and is of few tiles."""
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, components = fields
    if not (tile_width and tile_height and components <= 4) or max(left, top, tile_left, tile_top) > 0:
        raise ValueError("its size is not read")
    tiles = -(-right // tile_width) * -(-bottom // tile_height)
    if tiles > MAX_TILES:
        raise ValueError(f"it has {tiles} tiles")
    return right, bottom


def _check_style(style: bytes, sides: tuple[int, int]) -> None:
    """Precincts are given for each resolution, the lowest first."""
    sizes = style[10:] if style[0] & 1 else b""
    precincts = sum(
        -(-(sides[0] >> len(sizes) - 1 - nth) // (1 << (size & 15)))
        * -(-(sides[1] >> len(sizes) - 1 - nth) // (1 << (size >> 4)))
        for nth, size in enumerate(sizes)
    )
    if int.from_bytes(style[2:4], "big") > MAX_LAYERS or precincts > MAX_PRECINCTS:
        raise ValueError("it is divided further than a picture needs")
