"""Which files are pictures: the raster formats that Pillow decodes by itself, told by signature; none starts a program."""

from __future__ import annotations

import re

TGA_ENDINGS = frozenset((".tga", ".icb", ".vda", ".vst"))
ENDINGS = TGA_ENDINGS | {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".avif", ".avifs",
    ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm",
}  # fmt: skip
"""Files that are called so are pictures or damaged ones; others are looked into."""
CAMERA_ENDINGS = frozenset((".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".rw2", ".sr2", ".srw"))
"""Raw data in a TIFF's clothes: Pillow would read the thumbnail."""
HEAD_BYTES = 32
SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "BMP": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "WEBP": rb"RIFF....WEBP",
    "AVIF": rb"....ftyp(?:.{4})*?avi[fs]",
    "JPEG2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "PPM": rb"P[1-6]\s+(?:#|\d+\s+(?:#|\d))",
}


def kind_of(head: bytes, ending: str = "") -> str | None:
    """Pillow's name of the format that a file's first `HEAD_BYTES` tell, or None; a TGA file is told by its ending as well."""
    found = (kind for kind, pattern in SIGNATURES.items() if re.match(pattern, head, re.DOTALL))
    is_tga = ending in TGA_ENDINGS and re.match(rb".[\0\x01][\1-\3\x09-\x0b].{13}[\x08\x0f\x10\x18\x20]", head, re.DOTALL)
    return None if ending in CAMERA_ENDINGS else next(found, "TGA" if is_tga else None)
