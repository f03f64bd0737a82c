"""The picture formats that are read: a closed list, each told by its first bytes, whatever the file is
called.

Pillow decodes them by itself. What starts another program (EPS), is drawn by the system (WMF) or is no raster
stays out.
"""

from __future__ import annotations

import re
import struct

ENDINGS = frozenset(
    (
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".avif",
        ".avifs",
        ".jp2",
        ".j2k",
        ".jpf",
        ".jpx",
        ".j2c",
        ".jpc",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".tga",
        ".icb",
        ".vda",
        ".vst",
    )
)
"""In small letters."""
CAMERA_ENDINGS = frozenset((".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".rw2", ".sr2", ".srw"))
"""Raw data in a TIFF's clothes: Pillow would read the thumbnail."""
NAMES = "PNG, JPEG, BMP, GIF, TIFF, WebP, AVIF, JPEG 2000, PPM, PGM, PBM or TGA"
HEAD_BYTES = 256
"""What `kind_of` needs of a file."""
_STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF87a": "GIF", b"GIF89a": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000", b"\xff\x4f\xff\x51": "JPEG2000",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip
_BMP_HEADERS = frozenset((12, 40, 52, 56, 64, 108, 124))
_TGA = struct.Struct("<BBB5s4xHHBB")
_TGA_DEPTHS = {1: (8,), 2: (16, 24, 32), 3: (1, 8, 16)}
_TGA_ENDINGS = frozenset((".tga", ".icb", ".vda", ".vst"))


def kind_of(head: bytes, ending: str) -> str | None:
    """Pillow's name of the format of a file that begins with `head` (`HEAD_BYTES`, or all); None where it is
    none of them.

    TGA alone has no signature: without its `ending` (small letters, with its dot) each field of its head must
    be as the format says.
    """
    for start, kind in _STARTS.items():
        if head.startswith(start):
            is_raw = kind == "TIFF" and (
                head[8:10] == b"CR" or ending in CAMERA_ENDINGS
            )  # with a small picture first
            return None if is_raw else kind
    if head[:4] == b"RIFF" and head[8:16] in {b"WEBPVP8 ", b"WEBPVP8L", b"WEBPVP8X"}:
        return "WEBP"
    if head[4:8] == b"ftyp" and re.search(b"avi[fs]", head[8 : int.from_bytes(head[:4], "big")]):
        return "AVIF"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if re.match(rb"P[1-6][\s#]", head):
        return "PPM"
    return "TGA" if _is_tga(head, ending) else None


def _is_tga(head: bytes, ending: str) -> bool:
    if len(head) < _TGA.size:
        return False
    _, has_map, kind, colour_map, width, height, depth, flags = _TGA.unpack_from(head)
    is_kind = has_map == (kind in {1, 9}) or (has_map == 1 and ending in _TGA_ENDINGS)
    is_map = has_map == 1 or not any(colour_map) or ending in _TGA_ENDINGS
    return (
        is_kind
        and is_map
        and width > 0
        and height > 0
        and depth in _TGA_DEPTHS.get(kind & 7, ())
        and kind & 0xF0 == flags & 0xC0 == 0
    )
