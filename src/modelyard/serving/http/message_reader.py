"""Reading requests from the bytes of a connection with httptools, within bounds (HTTP/1.1, RFC 9112)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Protocol
from weakref import proxy

import httptools

from modelyard.errors import RequestError
from modelyard.serving.http.body_budget import REQUEST_BYTES
from modelyard.serving.http.exchange import Request
from modelyard.serving.http.http_message import NO_HEAD, incoming

MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS, MAX_LIST_BYTES = 100, 1024
STEP = 16 * 1024
"""Bytes passed to the parser at once; between two steps the bytes that it has not reported are checked."""
LINE_BYTES = 32
"""Bytes allowed for the framing of a request or a chunk."""
SINGLE = frozenset({
    b"authorization", b"content-encoding", b"content-length", b"content-type", b"expect", b"host",
    b"inference-header-content-length", b"origin", b"transfer-encoding",
})  # fmt: skip
"""Headers that may occur once only: with two values, a proxy and this server could choose different ones."""


class Receiver(Protocol):
    """What is called as a request arrives; each method may raise RequestError, which ends the connection."""

    def on_begin(self) -> None: ...
    def hold(self, num_bytes: int) -> None: ...
    def on_head(self, head: Request) -> None: ...
    def on_body_bytes(self, num_bytes: int, size: int) -> None: ...
    def on_request(self, request: Request, goes_on: bool) -> None: ...


class MessageReader:
    """Calls a receiver for each request: when its head, a part of its body, and all of it have arrived."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver: Receiver = proxy(receiver)  # which holds this
        self._parser: Any = httptools.HttpRequestParser(self)
        self.is_inside = False
        """Whether a request has begun and is not complete."""
        self._told = self._untold = 0
        """Bytes that the parser has reported in this step, and bytes of earlier steps that it has not
        reported: incomplete headers, blanks, chunk extensions.
        """
        self._body: bytes | bytearray = b""
        self._begin()

    def feed(self, data: bytes) -> RequestError | None:
        """Parse more data. Gives the error when nothing more can be read, else None."""
        view = memoryview(data)
        try:
            for start in range(0, len(data), STEP):
                part = view[start : start + STEP]
                self._told = 0
                self._parser.feed_data(part)
                self._untold = max(0, self._untold + len(part) - self._told)
                if self._untold > MAX_HEADER_BYTES:
                    return (
                        self._too_long()
                        if self._in_headers
                        else RequestError("not HTTP/1.1: chunk extensions are too long")
                    )
        except httptools.HttpParserUpgrade:  # offered to nobody: the request itself is an ordinary one
            return None
        except httptools.HttpParserError as error:
            refusal = error.__context__
            if not isinstance(refusal, RequestError):
                return RequestError(f"not HTTP/1.1: {error}")
            refusal.__traceback__ = refusal.__context__ = None  # their frames hold what was read
            return refusal
        return None

    def close(self) -> None:
        """Drop the parser and what was read: parser and reader refer to each other, so the body would stay
        until the next garbage collection.
        """
        self._parser = None
        self._begin()

    # what httptools calls

    def on_message_begin(self) -> None:
        self.is_inside = self._in_headers = True
        self._untold = 0
        self._told += LINE_BYTES
        self._receiver.on_begin()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_header(len(url), HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header(len(name) + len(value) + 4, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        name = name.lower()
        if not self._in_headers:  # those after a chunked body are counted and not heeded
            return
        if name in self._headers and name in SINGLE:
            raise RequestError(f"header {name.decode()}: expected once")
        before, value = self._headers.get(name), value.strip()
        self._headers[name] = (
            value if before is None else b"%b, %b" % (before[-MAX_LIST_BYTES:], value)
        )  # RFC 9110, 5.3
        if len(self._headers) > MAX_HEADERS:
            raise self._too_long()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._header_bytes = 0
        self.head = incoming(
            self._parser.get_method(), self._url, self._headers, self._parser.get_http_version()
        )
        self._receiver.on_head(self.head)

    def on_body(self, body: bytes) -> None:
        self._told += len(body) + LINE_BYTES
        self._receiver.on_body_bytes(len(body), len(self._body) + len(body))
        if not self._body:
            self._body = body
            return
        if isinstance(self._body, bytes):  # one piece of memory, however small the parts are
            self._body = bytearray(self._body)
        self._body += body

    def on_message_complete(self) -> None:
        self.is_inside = False
        request, request.body = self.head, bytes(self._body)
        parser = self._parser
        goes_on = (
            parser.should_keep_alive() and parser.get_http_version() != "1.0" and not parser.should_upgrade()
        )
        self._begin()
        self._receiver.on_request(request, goes_on)

    def _begin(self) -> None:
        self._in_headers = True
        self._url, self._headers, self.head = b"", dict[bytes, bytes](), NO_HEAD
        self._body, self._header_bytes = b"", 0

    def _count_header(self, more: int, status: int) -> None:
        self._told += more
        self._header_bytes += more
        if self._header_bytes > MAX_HEADER_BYTES:
            raise self._too_long(status)
        if self._header_bytes > REQUEST_BYTES:
            self._receiver.hold(more)

    def _too_long(self, status: int = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) -> RequestError:
        return RequestError(
            f"address and headers exceed {MAX_HEADER_BYTES} bytes or {MAX_HEADERS} headers", status
        )
