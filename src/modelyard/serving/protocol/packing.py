"""Compression of bodies (gzip, deflate), in both directions."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from http import HTTPStatus

from modelyard.errors import RequestError, quoted
from modelyard.serving.http.exchange import Request, Response

WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
STEP = 256 * 1024
"""Bytes decompressed at once: a fraction of a millisecond."""
FREE_BYTES, MAX_RATIO = 4 * 2**20, 50
"""A body may decompress to `FREE_BYTES` and `MAX_RATIO` times its own size more; JSON of a thousand blank
digits comes near that.
"""
WORTH_BYTES = 200
"""Smaller answers gain nothing by compression."""
WEIGHT = re.compile(rb"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def unpack(body: bytes, encoding: bytes) -> Iterator[bytes]:
    """The decompressed body in pieces. Raises: RequestError (400, 413, 415)."""
    if encoding not in WINDOW_BITS:
        raise RequestError(
            f"content-encoding {quoted(encoding)}: expected gzip or deflate",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )
    unpacker = zlib.decompressobj(WINDOW_BITS[encoding])
    room = FREE_BYTES
    for start in range(0, len(body), STEP):
        packed, goes_on = body[start : start + STEP], True
        while goes_on:
            try:
                piece = unpacker.decompress(packed, STEP)
            except zlib.error as error:
                raise RequestError(f"the body is not {encoding.decode()}: {error}") from None
            room += MAX_RATIO * (len(packed) - len(unpacker.unconsumed_tail)) - len(piece)
            packed, goes_on = unpacker.unconsumed_tail, len(piece) == STEP
            if room < 0:
                told = f"the body unpacks to more than {MAX_RATIO} times its size; send it unpacked"
                raise RequestError(told, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            yield piece
        if unpacker.unused_data:
            break
    if not unpacker.eof or unpacker.unused_data:
        raise RequestError(f"the {encoding.decode()} body is cut short or has bytes after its end")


def pack(request: Request, response: Response, accepted: bytes) -> None:
    """Compress the body as the client prefers; at level 1, since an answer is read once.

    Below /v2 only answers of /infer: Triton compresses no others, and its clients ask for gzip everywhere but
    decompress only those.
    """
    is_open = (request.method == "POST" and request.path.endswith("/infer")) or not request.path.startswith(
        "/v2"
    )
    if response.status != HTTPStatus.OK or len(response.body) < WORTH_BYTES or not is_open:
        return
    if name := preferred_coding(accepted):
        packer = zlib.compressobj(1, zlib.DEFLATED, WINDOW_BITS[name])
        response.body = packer.compress(response.body) + packer.flush()
        response.headers += [(b"content-encoding", name), (b"vary", b"accept-encoding")]


@lru_cache(64)
def preferred_coding(accepted: bytes) -> bytes | None:
    """The coding that an Accept-Encoding header prefers, gzip before deflate; None is no compression (RFC
    9110, 12.5.3).
    """
    weights: dict[bytes, float] = {}
    for offer in accepted.lower().split(b","):
        name, _, weight = (part.strip() for part in offer.partition(b";"))
        found = WEIGHT.fullmatch(weight or b"q=1")
        weights[name.removeprefix(b"x-")] = float(found[1]) if found else 0.0
    gzip, deflate = (weights.get(name, weights.get(b"*", 0.0)) for name in (b"gzip", b"deflate"))
    if not max(gzip, deflate) or max(gzip, deflate) < weights.get(b"identity", 0.0):
        return None
    return b"gzip" if gzip >= deflate else b"deflate"
