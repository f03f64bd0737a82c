"""JPEG 2000: as encoders write it; what promises more parts than a picture needs is refused before room is
made for them.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest

from modelyard.samples import ImageForm
from modelyard.samples.image import UnreadableImage, read_image
from tests.data.pictures import painting, saved

STREAM = saved("JPEG2000", painting(120, 90), no_jp2=True)
SIZE, STYLE, TILE = STREAM.index(b"\xff\x51"), STREAM.index(b"\xff\x52"), STREAM.index(b"\xff\x90")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"no_jp2": True},
        {"irreversible": True},
        {"tile_size": (16, 16)},
        {"quality_layers": [40, 20, 10], "comment": "hi"},
        {"precinct_size": (256, 256), "progression": "RPCL"},
        {"num_resolutions": 1},
        {"plt": True},
        {"codeblock_size": (4, 4)},
    ],
)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_what_encoders_write_is_read(options: dict[str, Any], mode: str) -> None:
    form, pixels_CHW = read_image(
        io.BytesIO(saved("JPEG2000", painting().convert(mode), **options)), ImageForm(1, 30, 40)
    )
    assert (form.mode, form.height) == (mode, 30)
    assert pixels_CHW.any()


def put(at: int, what: bytes, content: bytes = STREAM) -> bytes:
    return content[:at] + what + content[at + len(what) :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (put(SIZE + 22, struct.pack(">II", 1, 1)), "it has 10800 tiles"),
        (put(SIZE + 22, bytes(8)), "size is not read"),
        (put(SIZE + 38, struct.pack(">H", 16_384)), "size is not read"),
        (put(SIZE + 6, struct.pack(">I", 2**31)), "."),
        (put(STYLE + 6, struct.pack(">H", 65_535)), "divided further"),
        (STREAM[:STYLE] + b"\xff\x52\0\x0d\1\0\0\1\0\0\4\4\0\1\0" + STREAM[STYLE + 14 :], "divided further"),
        (
            STREAM[: TILE + 12] + b"\xff\x52\0\x0c\0\0\xff\xff\1\5\4\4\0\1" + STREAM[TILE + 12 :],
            "divided further",
        ),
        (put(STYLE, b"\xff\x5f"), "marker .ff5f."),
        (STREAM[:TILE] + b"\xff\x53\0\x0a\0\1\0\4\4\0\1\0" + STREAM[TILE:], "divided further"),
        (put(TILE + 6, struct.pack(">I", 0) + bytes(2)) + b"\xff\x52", "."),
        (STREAM[:60], "damaged"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x08free" * 100, "more boxes"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\0free", "boxes"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I", 2**24) + b"jp2h", "boxes"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\0jp2c" + STREAM, "boxes"),
    ],
)
def test_what_promises_too_much_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        read_image(io.BytesIO(content), ImageForm(3, 8, 8))
