"""A PNG or JPEG file without what its pixels do not need.

Pillow reads the rest of a file in Python, piece by piece, and unpacks some of it: megabytes of tiny pieces take it
minutes. What is left out here it never sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelyard.errors import RequestError

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"tEXt", b"zTXt", b"iTXt"))
"""Of PNG: the pixels, and where an orientation may stand. The first frame of an animation is in them too."""
MAX_PARTS = 10_000
"""An encoder writes some kilobytes into each."""
MARKER = re.compile(rb"\xff[\xc0-\xcf\xda-\xfe]")
"""Of JPEG's segments with a length."""
MAX_PADDING = 1024
"""Bytes between two segments."""
START_OF_SCAN, END_OF_IMAGE = 0xDA, b"\xff\xd9"
TABLES = frozenset((*range(0xC0, 0xD0), 0xDB, 0xDD))
MAX_TABLE_BYTES = 64 * 1024
NOTES = frozenset((b"\xe0JFIF", b"\xe1Exif", b"\xe1http", b"\xeeAdob"))
"""Colours and orientation; the first of each."""
MAX_SCANS = 32
"""Each goes over the whole picture; progressive encoders write about ten."""


def without_extras(picture: bytes) -> bytes:
    """The file with the same pixels and orientation. Raises: RequestError when it has more parts than a picture needs."""
    return b"".join(_png_parts(picture) if picture.startswith(PNG) else _jpeg_parts(picture))


def _png_parts(picture: bytes) -> Iterator[bytes]:
    yield PNG
    at = len(PNG)
    for _ in range(MAX_PARTS):
        if at >= len(picture):
            return
        end = at + 12 + int.from_bytes(picture[at : at + 4], "big")
        if picture[at + 4 : at + 8] in CHUNKS:
            yield picture[at:end]
        at = end
    raise _too_many("chunks")


def _jpeg_parts(picture: bytes) -> Iterator[bytes]:
    yield JPEG[:2]
    at, table_bytes, seen = 2, 0, set()
    for _ in range(MAX_PARTS):
        found = MARKER.search(picture, at, at + MAX_PADDING)
        if found is None:
            return
        start, code = found.start(), picture[found.start() + 1]
        if code == START_OF_SCAN:
            yield _scans(picture, start)
            return
        at = start + 2 + max(2, int.from_bytes(picture[start + 2 : start + 4], "big"))
        note = picture[start + 1 : start + 2] + picture[start + 4 : start + 8]
        if code in TABLES:
            table_bytes += at - start
            yield picture[start:at]
        elif note in NOTES - seen:
            seen.add(note)
            yield picture[start:at]
        if table_bytes > MAX_TABLE_BYTES:
            break
    raise _too_many("segments")


def _scans(picture: bytes, start: int) -> bytes:
    """From the first scan to the end of the picture; telephones append others, and films."""
    end = picture.find(END_OF_IMAGE, start)
    scans = picture[start:] if end < 0 else picture[start : end + 2]
    if scans.count(b"\xff%c" % START_OF_SCAN) > MAX_SCANS:
        raise _too_many("scans")
    return scans


def _too_many(parts: str) -> RequestError:
    return RequestError(f"the picture has more {parts} than its pixels need; save it again")
