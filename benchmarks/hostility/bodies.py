"""Requests with hostile bodies: values, structures, archives, pictures."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image

SHAPE = (28, 28, 1)
PIXELS = 784
INFER = "/v2/models/digits/infer"
JSON = b"Content-Type: application/json"
HOST = b"Host: 127.0.0.1\r\n"
MODELS = "/v2/repository/models"


def request(
    target: str, body: bytes = b"", *headers: bytes, method: str = "POST", host: bytes = HOST
) -> bytes:
    """A whole request that says its length."""
    lines = b"".join(header + b"\r\n" for header in headers)
    start = f"{method} {target} HTTP/1.1\r\n".encode()
    return start + host + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def infer(data: object, shape: object = (1, *SHAPE), **more: object) -> bytes:
    """A V2 request with these values."""
    entry = {"name": "images", "datatype": "UINT8", "shape": shape, "data": data} | more
    return as_json(INFER, json.dumps({"inputs": [entry]}).encode())


def ordinary(chance: random.Random) -> bytes:
    """What an honest client sends."""
    return infer([chance.randrange(256)] * PIXELS)


@cache
def png(mode: str, width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, "PNG", compress_level=1)
    return file.getvalue()


@cache
def png_head(width: int, height: int) -> bytes:
    """A PNG that promises this size and holds nothing."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


@cache
def photo(bytes_wanted: int) -> bytes:
    side = int((bytes_wanted / 3) ** 0.5)
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG", compress_level=0)
    return file.getvalue()


OTHERS: dict[str, dict[str, object]] = {
    "BMP": {},
    "GIF": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {},
    "AVIF": {},
    "JPEG2000": {},
    "PPM": {},
    "TGA": {"rle": True},
}
"""The formats besides PNG and JPEG, as Pillow names them."""
SIZES = (0, 1, 255, 30_000, 2**16 - 1, 13_000_000, 2**31 - 1, 2**32 - 1)


@cache
def other_format(kind: str, side: int) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    Image.fromarray(noise).resize((side, side)).save(file, kind, **OTHERS[kind])
    return file.getvalue()


def damaged_picture(chance: random.Random) -> bytes:
    """Of a format with a directory, boxes or blocks: some of its first bytes are others, often those that say
    a size.
    """
    content = bytearray(other_format(chance.choice(list(OTHERS)), 64))
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(min(len(content), chance.choice((64, 256, len(content)))))
        if chance.random() < 0.5:
            content[at] = chance.choice((0, 1, 127, 255, chance.randrange(256)))
        else:
            content[at : at + 4] = chance.choice(SIZES).to_bytes(4, chance.choice(("big", "little")))
    return request("/predict", bytes(content))


def countless(chance: random.Random) -> bytes:
    """Extensions, comments, entries and boxes without end."""
    pictures = (
        b"GIF89a" + bytes(7) + b"!\xfe\1a\0" * 20_000,
        b"P5" + b"#\n" * 50_000,
        b"P3 9 9 255 " + b"#\n" * 50_000,
        b"II*\0\x08\0\0\0\xff\xff" + b"\0\1\2\0\1\0\0\0aaaa" * 9000,
        b"II+\0\x08\0\0\0" + b"\x10" + b"\xff" * 100_000,
        b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x08free" * 12_000,
    )
    return request("/predict", chance.choice(pictures))


def form(parts: int) -> bytes:
    return request("/predict", b"--b\r\n" * parts, b"Content-Type: multipart/form-data; boundary=b")


@cache
def gzip_bomb() -> bytes:
    return gzip.compress(bytes(50_000_000), 9)


def as_json(target: str, body: bytes, *, is_packed: bool = False) -> bytes:
    """A request with JSON, packed or not."""
    if is_packed:
        return request(target, gzip.compress(body, 1), JSON, b"Content-Encoding: gzip")
    return request(target, body, JSON)


@cache
def _value_bomb(length: int, is_packed: bool) -> bytes:
    data = ["x" * length, *[0] * (64 * PIXELS - 1)]
    entry = {"name": "images", "datatype": "UINT8", "shape": [64, *SHAPE], "data": data}
    return as_json(INFER, json.dumps({"inputs": [entry]}).encode(), is_packed=is_packed)


def value_bomb(chance: random.Random) -> bytes:
    """H3: one long string among numbers, plain or packed."""
    return _value_bomb(chance.choice((400, 900, 20_000)), chance.random() < 0.5)


@cache
def _structure(target: str, piece: str, count: int, is_packed: bool) -> bytes:
    return as_json(target, ('{"inputs":[' + ",".join([piece] * count) + "]}").encode(), is_packed=is_packed)


def structure(chance: random.Random) -> bytes:
    """M1: brackets without end, within a size that is let in."""
    piece, count = chance.choice(
        (("[]", 60_000), ("{}", 60_000), ("[" * 500 + "]" * 500, 100), ('"a"', 60_000))
    )
    return _structure(chance.choice((INFER, "/invocations")), piece, count, chance.random() < 0.5)


@cache
def _echo(key: str, kind: int) -> bytes:
    long: object = ("n" * 200_000, [1] * 50_000, json.loads("[" * 400 + "]" * 400))[kind]
    entry = {"name": "images", "datatype": "UINT8", "shape": [1, *SHAPE], "data": [0] * PIXELS} | {key: long}
    return as_json(INFER, json.dumps({"inputs": [entry], "id": "i"}).encode())


def echo(chance: random.Random) -> bytes:
    """L5: what is wrong is long, or nested."""
    return _echo(chance.choice(("name", "datatype", "shape")), chance.randrange(3))


@cache
def rows() -> bytes:
    """M9: more rows than a request may have."""
    return as_json("/invocations", json.dumps({"inputs": np.zeros((1100, *SHAPE), int).tolist()}).encode())


def picture(chance: random.Random) -> bytes:
    pictures: tuple[Callable[[], bytes], ...] = (
        lambda: png_head(60_000, 60_000),
        lambda: png_head(2**31 - 1, 1),
        lambda: png("L", 1, 30_000),
        lambda: png("RGBA", 30, 30)[:90],
        lambda: b"\xff\xd8" + b"\xff\xe1\x00\x02" * 20_000,
        lambda: b"GIF89a" + b"\0" * 500,
    )
    return request("/predict", chance.choice(pictures)())
