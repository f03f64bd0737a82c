"""A picture file without what its pixels do not need: Pillow would read that piece by piece in Python, unpack
it or stumble.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator

from modelyard.samples.jpeg2000 import check_jpeg2000
from modelyard.samples.tiff import plain_tiff

MAX_PARTS = 10_000
"""Encoders write kilobytes into each."""
HEAD = 33
"""Of PNG: its signature and first chunk, the sizes."""
PIXELS = frozenset((b"PLTE", b"tRNS", b"IDAT", b"IEND"))
"""Its other chunks; an animation's first frame is in them too."""
TURNED = re.compile(rb"eXIf|(tEXt|zTXt)Raw profile type exif\0|iTXtXML:com\.adobe\.xmp\0\0")
"""Chunks where an orientation may stand: kind and beginning."""
MAX_NOTE_BYTES = 2**20
"""Pillow's own limit for a text."""
SEGMENT, MAX_PADDING = re.compile(rb"\xff([\xc0-\xcf\xda-\xfe])(..)(.{4})", re.DOTALL), 1024
"""Of JPEG: its code, size and name; and how much may stand before it."""
TABLES, MAX_TABLE_BYTES = re.compile(rb"[\xc0-\xcf\xdb\xdd]"), 64 * 1024
NOTES = frozenset((b"\xe0JFIF", b"\xe1Exif", b"\xe1http", b"\xeeAdob"))
"""Colours and orientation; the first of each."""
SCAN, END = b"\xff\xda", b"\xff\xd9"
MAX_SCANS = 32
"""Each goes over the whole picture; progressive encoders write about ten."""
AVIF_NOTE = re.compile(rb"(infe[\2\3].{7}(?:..)?)Exif", re.DOTALL)
"""An item of AVIF that is EXIF: AVIF turns a picture by properties of its own."""
PPM_HEAD = re.compile(rb"P[1-6](?:(?:\s|#[^\r\n]*[\r\n])+\d+){2}")
MAX_HEAD = 4096


def without_extras(picture: bytes, kind: str) -> bytes:
    """The file of a `kind` (`formats.kind_of`) with the same pixels and orientation.

    Raises: ValueError when it has more parts than a picture needs, or parts that lead Pillow astray.
    """
    plain = PLAIN.get(kind)
    return picture if plain is None else plain(picture)


def _plain_png(picture: bytes) -> bytes:
    """An orientation comes before the pixels, so that Pillow knows it when it opens the file."""
    if picture[37:41] == b"IDAT" and len(picture) == HEAD + 24 + int.from_bytes(picture[33:37], "big"):
        return picture  # as most small ones are: nothing but pixels
    at, view, notes, rest = HEAD, memoryview(picture), [], []
    for _ in range(MAX_PARTS):
        end = at + 12 + int.from_bytes(picture[at : at + 4], "big")
        if picture[at + 4 : at + 8] in PIXELS:
            rest.append(view[at:end])
        elif TURNED.match(picture, at + 4) and _is_sound_note(view[at:end]):
            notes.append(view[at:end])
        at = end
        if at >= len(picture):
            return b"".join((view[:HEAD], *notes, *rest))
    raise _too_many("chunks")


def _is_sound_note(chunk: memoryview) -> bool:
    """Whether Pillow reads it without an error, or unpacking megabytes."""
    if len(chunk) > MAX_NOTE_BYTES or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
        return False
    if bytes(chunk[4:8]) != b"zTXt":
        return True
    packed, unpacking = bytes(chunk[8:-4]).partition(b"\0")[2], zlib.decompressobj()
    try:
        unpacking.decompress(packed[1:], MAX_NOTE_BYTES)
    except zlib.error:
        return False
    return unpacking.eof


def _plain_jpeg(picture: bytes) -> bytes:
    return b"".join(_segments(picture))


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


def _plain_gif(picture: bytes) -> bytes:
    """Its first frame, and of what stands before only what is transparent."""
    at = 13 + (3 << (picture[10] & 7) + 1 if picture[10] & 128 else 0)
    screen, control, is_extension = picture[:at], b"", False
    for _ in range(MAX_PARTS):
        if is_extension:  # of blocks that say their size; the last is empty
            is_extension = picture[at] > 0
            at += 1 + picture[at]
        elif picture[at : at + 1] != b"!":
            return screen + control + picture[at:]
        else:
            if picture[at + 1 : at + 3] == b"\xf9\4":  # what comes after the frame is of no matter
                control = b"!\xf9\4" + bytes([picture[at + 3] & 1]) + picture[at + 4 : at + 7] + b"\0"
            is_extension, at = True, at + 2
    raise _too_many("extensions")


def _plain_ppm(picture: bytes) -> bytes:
    if PPM_HEAD.match(picture, 0, MAX_HEAD) is None:
        raise ValueError(f"no size in its first {MAX_HEAD} bytes")
    if picture[:2] not in {b"P1", b"P2", b"P3"} or b"#" not in picture:
        return picture
    if picture.count(b"#") > MAX_PARTS:
        raise _too_many("comments")
    return re.sub(rb"#[^\r\n]*", b"", picture)


def _plain_avif(picture: bytes) -> bytes:
    return AVIF_NOTE.sub(rb"\1none", picture)


def _too_many(parts: str) -> ValueError:
    return ValueError(f"the picture has more {parts} than its pixels need; save it again")


PLAIN: dict[str, Callable[[bytes], bytes]] = {
    "PNG": _plain_png,
    "JPEG": _plain_jpeg,
    "GIF": _plain_gif,
    "TIFF": plain_tiff,
    "PPM": _plain_ppm,
    "AVIF": _plain_avif,
    "JPEG2000": check_jpeg2000,
}
