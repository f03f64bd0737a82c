"""Packed bodies (gzip, deflate), both ways."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from http import HTTPStatus

from modelyard.errors import RequestError
from modelyard.serving.exchange import Response

WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
STEP = 256 * 1024
"""Bytes of a piece: a fraction of a millisecond."""
FREE_BYTES, MAX_RATIO = 4 * 2**20, 50
"""What has been read of a body may unpack to the one and so many times its size beyond: a thousand blank digits in JSON do."""


def unpack(body: bytes, encoding: bytes) -> Iterator[bytes]:
    """The plain body in pieces. Raises: RequestError (400, 413, 415)."""
    if encoding not in WINDOW_BITS:
        raise RequestError(f"content-encoding {encoding!r}: expected gzip or deflate", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
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


def pack(response: Response, accepted: bytes) -> None:
    """Pack the body when the client takes gzip or deflate; level 1, as answers are short-lived."""
    offers = {offer.partition(b";")[0].strip().lower(): offer for offer in accepted.split(b",")}
    for name in (b"gzip", b"deflate"):
        if name in offers and b"q=0" not in offers[name].replace(b"q=0.", b""):
            packer = zlib.compressobj(1, zlib.DEFLATED, WINDOW_BITS[name])
            response.body = packer.compress(response.body) + packer.flush()
            response.headers += [(b"content-encoding", name), (b"vary", b"accept-encoding")]
            return
