"""Pictures in every format, and damaged notes beside sound pixels."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from PIL import Image

FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "BMP": {},
    "GIF": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
    "PPM": {},
    "TGA": {},
    "JPEG": {"quality": 95},
    "MPO": {},
    "AVIF": {"quality": 95},
    "JPEG2000": {},
}
"""Pillow's names, with how they are saved."""


def painting(width: int = 40, height: int = 30) -> Image.Image:
    """Smooth, in few colours, no symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(
        np.stack([x * 6 % 256, y * 7, (x + y) * 3 % 256], axis=-1).astype(np.uint8) // 32 * 32
    )


def saved(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    (painting() if image is None else image).save(stream, kind, **FORMATS.get(kind, {}) | options)
    return stream.getvalue()


def exif(*entries: tuple[int, int, int, bytes], order: bytes = b"II*\0\x08\0\0\0") -> bytes:
    """An EXIF block of entries (tag, type, count, 4 bytes), whatever sense they make."""
    body = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0" + order + struct.pack("<H", len(entries)) + body + bytes(4)


TURNED_LEFT = (0x112, 3, 1, struct.pack("<HH", 6, 0))
DAMAGED = {
    "text where a number is": exif((0x100, 2, 4, b"abc\0"), TURNED_LEFT, (0x8825, 2, 4, b"xyz\0")),
    "a pointer beyond the file": exif(TURNED_LEFT, (0x8769, 4, 1, b"\xff\xff\xff\x7f")),
    "a pointer to itself": exif(TURNED_LEFT, (0x8769, 4, 1, struct.pack("<I", 8))),
    "an unknown type": exif((0x10F, 99, 5, b"what"), TURNED_LEFT),
    "a huge count": exif((0x10F, 2, 2**32 - 1, b"what"), TURNED_LEFT),
    "a fraction by zero": exif((0x11A, 5, 1, b"\0\0\0\0"), TURNED_LEFT),
}
"""EXIF blocks that turn a picture a quarter and hold what is no EXIF."""
SENSELESS = {
    "an orientation of text": exif((0x112, 2, 4, b"six\0")),
    "an orientation of bytes": exif((0x112, 7, 4, b"\6\0\0\0")),
    "an orientation of 9": exif((0x112, 3, 1, b"\x09\0\0\0")),
    "no directory": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    "noise": b"Exif\0\0" + bytes(range(250)),
    "half a head": b"Exif\0\0II",
    "nothing": b"Exif\0\0",
}
"""EXIF blocks that do not turn it."""
