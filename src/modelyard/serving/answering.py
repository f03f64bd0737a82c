"""From a request as it arrived to the answer as it leaves: ids, packed bodies, faults, the access log."""

from __future__ import annotations

import itertools
import os
import time
import traceback
import zlib
from http import HTTPStatus
from typing import Any

from modelyard.errors import RequestError
from modelyard.serving.events import log_event
from modelyard.serving.exchange import Request, Response, error_response
from modelyard.serving.handlers import Handlers
from modelyard.serving.options import ServeOptions

WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
MAX_ID_LENGTH = 128


class Answering:
    """What a connection asks; the handlers behind it see only plain bodies."""

    def __init__(self, handlers: Handlers, options: ServeOptions) -> None:
        self._handlers = handlers
        self.max_body_bytes = options.max_body_bytes
        self._access_log = options.access_log
        self._id_prefix = os.urandom(4).hex()
        self._ids = itertools.count(1)
        self.heads: dict[bytes, Any] = {}
        """Heads of requests that came before, on any connection."""

    @property
    def draining(self) -> bool:
        """Whether connections should end after their next answer."""
        return self._handlers.draining

    async def answer(self, request: Request, client: str) -> Response:
        """Whatever goes wrong is an answer with `error` too."""
        started = time.perf_counter()
        headers = request.headers
        request_id = self._request_id(headers.get(b"x-request-id"))
        try:
            encoding = headers.get(b"content-encoding")
            if encoding is not None:
                request.body = self._unpack(request.body, encoding.strip().lower())
            response = await self._handlers.answer(request)
        except RequestError as error:
            response = error_response(error)
        except Exception:
            log_event("fault", {"id": request_id.decode(), "path": request.path, "trace": traceback.format_exc()})
            response = error_response(RequestError("the server failed; its log has the request id", 500))
        accepted = headers.get(b"accept-encoding")
        if accepted is not None and response.body:
            _compress(response, accepted)
        response.headers.append((b"x-request-id", request_id))
        if self._access_log or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            told = {"id": request_id.decode(), "client": client, "method": request.method, "path": request.path}
            elapsed_ms = round((time.perf_counter() - started) * 1e3, 3)
            log_event("request", {**told, "status": int(response.status), "ms": elapsed_ms})
        return response

    def _request_id(self, given: bytes | None) -> bytes:
        """The caller's, when it is harmless, or a new one."""
        if given and len(given) <= MAX_ID_LENGTH and given.isascii() and given.decode().isprintable():
            return given
        return b"%b-%x" % (self._id_prefix.encode(), next(self._ids))

    def too_large(self) -> RequestError:
        """For a body beyond the limit, packed or not."""
        return RequestError(
            f"the body is larger than {self.max_body_bytes} bytes; send fewer rows", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )

    def _unpack(self, body: bytes, encoding: bytes) -> bytes:
        """Decompress at most the body limit, whatever the archive promises. Raises: RequestError (413, 415, 400)."""
        if encoding == b"identity":
            return body
        if encoding not in WINDOW_BITS:
            raise RequestError(f"content-encoding {encoding!r}: expected gzip or deflate", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        unpacker = zlib.decompressobj(WINDOW_BITS[encoding])
        try:
            plain = unpacker.decompress(body, self.max_body_bytes + 1)
        except zlib.error as error:
            raise RequestError(f"the body is not {encoding.decode()}: {error}") from None
        if len(plain) > self.max_body_bytes:
            raise self.too_large()
        if not unpacker.eof or unpacker.unused_data:
            raise RequestError(f"the {encoding.decode()} body is cut short or has bytes after its end")
        return plain


def _compress(response: Response, accepted: bytes) -> None:
    """Pack the body when the client takes gzip or deflate; level 1, as answers are short-lived."""
    offers = {offer.partition(b";")[0].strip().lower(): offer for offer in accepted.split(b",")}
    for name in (b"gzip", b"deflate"):
        if name in offers and b"q=0" not in offers[name].replace(b"q=0.", b""):
            packer = zlib.compressobj(1, zlib.DEFLATED, WINDOW_BITS[name])
            response.body = packer.compress(response.body) + packer.flush()
            response.headers += [(b"content-encoding", name), (b"vary", b"accept-encoding")]
            return
