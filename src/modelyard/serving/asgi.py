"""The handlers as an ASGI application: bodies in and out, compression, request ids, the access log."""

from __future__ import annotations

import itertools
import os
import time
import traceback
import zlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from modelyard.errors import RequestError
from modelyard.serving.events import log_event
from modelyard.serving.exchange import Headers, Request, Response, error_response
from modelyard.serving.handlers import Handlers
from modelyard.serving.options import ServeOptions

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
MAX_ID_LENGTH = 128


class Disconnected(Exception):
    """The client went away before its request was whole."""


class Application:
    """What uvicorn (or any ASGI server) calls."""

    def __init__(self, handlers: Handlers, options: ServeOptions) -> None:
        self._handlers = handlers
        self._limit = options.max_body_bytes
        self._access_log = options.access_log
        self._id_prefix = os.urandom(4).hex()
        self._ids = itertools.count(1)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request, one answer; whatever goes wrong is an answer with `error` too."""
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = self._request_id(headers)
        try:
            body = await self._read_body(headers, receive)
            request = Request(scope["method"], scope["path"], scope["query_string"], headers, body)
            response = await self._handlers.answer(request)
        except RequestError as error:  # the body could not be read: the connection cannot go on
            response = error_response(error)
            response.headers.append((b"connection", b"close"))
        except Disconnected:
            return
        except Exception:
            log_event("fault", {"id": request_id.decode(), "path": scope["path"], "trace": traceback.format_exc()})
            response = error_response(RequestError("the server failed; its log has the request id", 500))
        _compress(response, headers)
        if self._handlers.draining:
            response.headers.append((b"connection", b"close"))
        await self._send(response, request_id, send)
        if self._access_log or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._log(scope, response, request_id, time.perf_counter() - started)

    def _request_id(self, headers: dict[bytes, bytes]) -> bytes:
        """The caller's, when it is harmless, or a new one."""
        given = headers.get(b"x-request-id")
        if given and len(given) <= MAX_ID_LENGTH and given.isascii() and given.decode().isprintable():
            return given
        return f"{self._id_prefix}-{next(self._ids):x}".encode()

    async def _read_body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The whole body, unpacked. Raises: RequestError (413, 415, 400)."""
        if int(headers.get(b"content-length", 0)) > self._limit:
            raise self._too_large()
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body: bytes = message["body"]
        if message["more_body"]:
            body = await self._read_rest(body, receive)
        encoding = headers.get(b"content-encoding")
        return body if encoding is None else self._unpack(body, encoding.strip().lower())

    async def _read_rest(self, first: bytes, receive: Receive) -> bytes:
        chunks, length = [first], len(first)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunks.append(message["body"])
            length += len(message["body"])
            if length > self._limit:
                raise self._too_large()
            if not message["more_body"]:
                return b"".join(chunks)

    def _unpack(self, body: bytes, encoding: bytes) -> bytes:
        """Decompress at most the body limit, whatever the archive promises."""
        if encoding == b"identity":
            return body
        if encoding not in WINDOW_BITS:
            raise RequestError(f"content-encoding {encoding!r}: expected gzip or deflate", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        unpacker = zlib.decompressobj(WINDOW_BITS[encoding])
        try:
            plain = unpacker.decompress(body, self._limit + 1)
        except zlib.error as error:
            raise RequestError(f"the body is not {encoding.decode()}: {error}") from None
        if len(plain) > self._limit:
            raise self._too_large()
        if not unpacker.eof or unpacker.unused_data:
            raise RequestError(f"the {encoding.decode()} body is cut short or has bytes after its end")
        return plain

    def _too_large(self) -> RequestError:
        return RequestError(
            f"the body is larger than {self._limit} bytes; send fewer rows", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )

    async def _send(self, response: Response, request_id: bytes, send: Send) -> None:
        headers: Headers = [*response.headers, (b"content-length", b"%d" % len(response.body)), (b"x-request-id", request_id)]
        await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def _log(self, scope: Any, response: Response, request_id: bytes, seconds: float) -> None:
        client = scope.get("client") or ("", 0)
        told = {"id": request_id.decode(), "client": client[0], "method": scope["method"], "path": scope["path"]}
        log_event("request", {**told, "status": int(response.status), "ms": round(seconds * 1e3, 3)})


def _compress(response: Response, headers: dict[bytes, bytes]) -> None:
    """Pack the body when the client takes gzip or deflate; level 1, as answers are short-lived."""
    accepted = headers.get(b"accept-encoding")
    if accepted is None or not response.body:
        return
    offers = {offer.partition(b";")[0].strip().lower(): offer for offer in accepted.split(b",")}
    for name in (b"gzip", b"deflate"):
        if name in offers and b"q=0" not in offers[name].replace(b"q=0.", b""):
            packer = zlib.compressobj(1, zlib.DEFLATED, WINDOW_BITS[name])
            response.body = packer.compress(response.body) + packer.flush()
            response.headers += [(b"content-encoding", name), (b"vary", b"accept-encoding")]
            return
