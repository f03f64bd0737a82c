"""A TIFF file is read by its pixels' own entries; no other is looked at, and none asks for more than the
pixels need.
"""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from modelyard.samples import ImageForm
from modelyard.samples.image import UnreadableImage, read_image
from modelyard.samples.tiff import plain_tiff
from tests.data.pictures import painting, saved


def changed(tag: int, type_: int, count: int, value: int, content: bytes = saved("TIFF")) -> bytes:
    """A small TIFF file with one entry more, or another."""
    (at,) = struct.unpack_from("<I", content, 4)
    (number,) = struct.unpack_from("<H", content, at)
    entries = {
        content[at + 2 + 12 * n :][:2]: content[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(number)
    }
    entries[struct.pack("<H", tag)] = struct.pack("<HHII", tag, type_, count, value)
    body = b"".join(entries[key] for key in sorted(entries, key=lambda key: int.from_bytes(key, "little")))
    return (
        content[:4]
        + struct.pack("<I", len(content))
        + content[8:]
        + struct.pack("<H", len(entries))
        + body
        + bytes(4)
    )


OPTIONS: list[dict[str, object]] = [
    {"compression": "raw"},
    {"compression": "tiff_lzw"},
    {"compression": "tiff_adobe_deflate"},
    {"compression": "packbits"},
    {"compression": "jpeg"},
    {"big_tiff": True},
    {"description": "x" * 5000},
    {"save_all": True, "append_images": [painting()]},
]


WRITTEN = [
    (options, mode)
    for options in OPTIONS
    for mode in ("RGB", "L", "P", "CMYK", "1", "I;16", "RGBA")
    if options != {"compression": "jpeg"} or mode not in {"P", "1", "I;16"}  # which JPEG does not have
]


@pytest.mark.parametrize(("options", "mode"), WRITTEN)
def test_the_pixels_are_those_of_the_whole_file(options: dict[str, object], mode: str) -> None:
    picture = painting().convert("L").convert(mode) if mode == "I;16" else painting().convert(mode)
    content = saved("TIFF", picture, **options)
    with Image.open(io.BytesIO(content)) as whole, Image.open(io.BytesIO(plain_tiff(content))) as plain:
        assert (plain.mode, plain.size) == (whole.mode, whole.size)
        np.testing.assert_array_equal(np.asarray(plain), np.asarray(whole))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (changed(273, 4, 2**28, 8), "268435456 values of tag 273"),
        (changed(322, 4, 1, 2**20, changed(323, 4, 1, 2**10)), "tiles are larger"),
        (changed(259, 3, 1, 6), r"packed in a way \(6\)"),
        (changed(259, 3, 1, 50_001), r"packed in a way \(50001\)"),
        (changed(277, 3, 1, 60_000), "60000 samples"),
        (changed(256, 2, 4, 9), "no size"),
        (changed(256, 4, 1, 2**31), "too large"),
        (b"II*\0" + struct.pack("<I", 8) + b"\xff\xff", "65535 entries"),
        (b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60), "entries"),
        (b"II*\0\xff\xff\xff\xff", "directory is damaged"),
        (b"MM\0*", "directory is damaged"),
    ],
)
def test_what_asks_for_more_than_its_pixels_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        read_image(io.BytesIO(content), ImageForm(3, 8, 8))


@pytest.mark.parametrize(
    "entry",
    [(34665, 4, 1, 8), (700, 1, 2**31, 0), (330, 4, 9, 2**31), (278, 4, 1, 2**31 - 1), (65_000, 99, 1, 0)],
)
def test_what_leads_elsewhere_is_not_looked_at(entry: tuple[int, int, int, int]) -> None:
    _, pixels_CHW = read_image(io.BytesIO(changed(*entry)), ImageForm(3, 30, 40))
    np.testing.assert_array_equal(pixels_CHW.transpose(1, 2, 0), np.asarray(painting()))


def test_the_decoder_says_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(saved("TIFF", painting().convert("1"), compression="group4"))
    content[9:40] = bytes(range(100, 131))
    with suppress(UnreadableImage):
        read_image(io.BytesIO(bytes(content)), ImageForm(1, 8, 8))
    assert capfd.readouterr() == ("", "")
