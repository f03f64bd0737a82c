"""What a file is, is told by its first bytes."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from modelyard.samples.formats import ENDINGS, HEAD_BYTES, kind_of
from tests.data.pictures import FORMATS, painting, saved

NOT_WRITTEN = {
    "PNG": {"CMYK"}, "BMP": {"LA", "CMYK"}, "GIF": {"CMYK"}, "PPM": {"P", "LA", "CMYK"}, "TGA": {"CMYK"},
    "JPEG": {"P", "LA", "RGBA"}, "MPO": {"P", "LA", "RGBA"}, "JPEG2000": {"1", "P"},
}  # fmt: skip
"""Modes that the format, or Pillow's encoder of it, does not have."""
WRITTEN = [
    (kind, mode)
    for kind in FORMATS
    for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK")
    if mode not in NOT_WRITTEN.get(kind, ())
]


@pytest.mark.parametrize(("kind", "mode"), WRITTEN)
def test_each_format_is_known_whatever_it_is_called(kind: str, mode: str) -> None:
    content = saved(kind, painting().convert(mode))
    for ending in ("", ".png", ".tga", ".txt"):
        assert kind_of(content[:HEAD_BYTES], ending) == {"MPO": "JPEG"}.get(kind, kind)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "PCX", "SGI", "DDS", "IM", "ICNS"])
def test_what_is_not_on_the_list_is_nothing(kind: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, kind)
    for ending in ("", ".png", ".tga"):
        assert kind_of(stream.getvalue()[:HEAD_BYTES], ending) is None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"P",
        b"\0" * 300,
        b"not an image",
        b"BM a text about cars, longer than a head of one",
        b"<svg xmlns=",
        b"8BPS\0\1",
        b"\xd7\xcd\xc6\x9a" + bytes(60),
        b"%!PS-Adobe",
        b"PK\3\4" + bytes(60),
        b"\x7fELF" + bytes(60),
        b"P7\n",
        b"Pf\n2 2\n",
        b"II*\0\x10\0\0\0CR\2\0" + bytes(60),
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
    ],
)
def test_other_files_are_no_pictures(head: bytes) -> None:
    assert kind_of(head, "") is None
    assert kind_of(head, ".jpg") is None


def test_noise_is_no_picture() -> None:
    chance = random.Random(0)
    assert not any(kind_of(chance.randbytes(64), "") for _ in range(20_000))


def test_endings_are_in_small_letters_with_their_dot() -> None:
    assert all(ending == ending.lower() and ending[0] == "." for ending in ENDINGS)
    assert {".jfif", ".jpe", ".avif", ".ppm", ".pgm", ".tga", ".jp2"} <= ENDINGS
    assert not {".eps", ".wmf", ".pdf", ".psd", ".svg", ".heic"} & ENDINGS
