"""Packed bodies (gzip, deflate), both ways."""

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
"""Bytes of a piece: a fraction of a millisecond."""
FREE_BYTES, MAX_RATIO = 4 * 2**20, 50
"""What has been read of a body may unpack to the one and so many times its size beyond: a thousand blank
digits in JSON do.
"""
WORTH_BYTES = 200
"""Smaller bodies gain nothing."""
WEIGHT = re.compile(rb"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def unpack(body: bytes, encoding: bytes) -> Iterator[bytes]:
    """The plain body in pieces. Raises: RequestError (400, 413, 415)."""
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
    """Pack the body as the client likes it; level 1, as answers are short-lived.

    Below /v2 those of /infer only: Triton packs no others, and its clients ask for gzip everywhere and unpack
    no others.
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
    """What an Accept-Encoding header likes best, gzip before deflate; None is the plain body (RFC 9110,
    12.5.3).
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
