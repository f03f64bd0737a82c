"""A PNG or JPEG file without what its pixels do not need: Pillow would read that piece by piece in Python, and unpack it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelyard.errors import RequestError

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
MAX_PARTS = 10_000
"""Encoders write kilobytes into each."""
CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"tEXt", b"zTXt", b"iTXt"))
"""Pixels, and where an orientation may stand; an animation's first frame is in them too."""
SEGMENT, MAX_PADDING = re.compile(rb"\xff([\xc0-\xcf\xda-\xfe])(..)(.{4})", re.DOTALL), 1024
"""Of JPEG: its code, size and name; and how much may stand before it."""
TABLES, MAX_TABLE_BYTES = re.compile(rb"[\xc0-\xcf\xdb\xdd]"), 64 * 1024
NOTES = frozenset((b"\xe0JFIF", b"\xe1Exif", b"\xe1http", b"\xeeAdob"))
"""Colours and orientation; the first of each."""
SCAN, END = b"\xff\xda", b"\xff\xd9"
MAX_SCANS = 32
"""Each goes over the whole picture; progressive encoders write about ten."""


def without_extras(picture: bytes) -> bytes:
    """The file with the same pixels and orientation. Raises: RequestError when it has more parts than a picture needs."""
    return b"".join(_chunks(picture) if picture.startswith(PNG) else _segments(picture))


def _chunks(picture: bytes) -> Iterator[memoryview]:
    at, view = len(PNG), memoryview(picture)
    yield view[:at]
    for _ in range(MAX_PARTS):
        end = at + 12 + int.from_bytes(view[at : at + 4], "big")
        if picture[at + 4 : at + 8] in CHUNKS:
            yield view[at:end]
        at = end
        if at >= len(picture):
            return
    raise _too_many("chunks")


def _segments(picture: bytes) -> Iterator[memoryview]:
    at, table_bytes, view = 2, 0, memoryview(picture)
    seen: set[bytes] = set()
    yield view[:at]
    for _ in range(MAX_PARTS):
        found = SEGMENT.search(picture, at, at + MAX_PADDING)
        if found is None:
            return
        start, (code, size, name) = found.start(), found.groups()
        if found[0].startswith(SCAN):
            yield view[start : _end_of_scans(picture, start)]
            return
        at = start + 2 + max(2, int.from_bytes(size, "big"))
        if TABLES.match(code):
            table_bytes += at - start
            if table_bytes > MAX_TABLE_BYTES:
                break
            yield view[start:at]
        elif code + name in NOTES - seen:
            seen.add(code + name)
            yield view[start:at]
    raise _too_many("segments")


def _end_of_scans(picture: bytes, start: int) -> int:
    """The end of the picture; telephones append others, and films."""
    end = picture.find(END, start)
    end = len(picture) if end < 0 else end + len(END)
    if picture.count(SCAN, start, end) > MAX_SCANS:
        raise _too_many("scans")
    return end


def _too_many(parts: str) -> RequestError:
    return RequestError(f"the picture has more {parts} than its pixels need; save it again")
