"""One client's connection: HTTP/1.1 (RFC 9112) parsed by httptools, answered in order, within limits.

Nothing stands between the socket and the handlers but this: no ASGI, no task or queue beside one task an answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

import httptools

from modelyard.errors import RequestError
from modelyard.serving.answering import Answering
from modelyard.serving.exchange import Request, Response, error_response
from modelyard.serving.http_message import incoming, outgoing

MAX_HEADER_BYTES = 32 * 1024
MAX_PIPELINED = 16
"""Requests of one connection that may wait for the answers before theirs; then nothing more is read."""
LINGER_S = 2.0
HEAD_END = b"\r\n\r\n"
KNOWN_HEADS, KNOWN_HEAD_BYTES = 1024, 2048
"""How many heads of requests are remembered, and how long they may be."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Head(NamedTuple):
    """What a head of a request says; the same bytes always say the same."""

    request: Request
    """With an empty body."""
    num_bytes: int
    """Of its body."""


class Connection(asyncio.Protocol):
    """Reads requests, hands them on one by one and writes their answers."""

    def __init__(self, answering: Answering, open_connections: set[Connection], on_closed: Callable[[], None]) -> None:
        self._answering = answering
        self._all = open_connections
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool] | RequestError] = deque()
        """Whole requests, each with whether the connection goes on after it; a refusal is the last."""
        self._heads = answering.heads
        self._is_inside = False
        """Whether the parser is within a request."""
        self._completed: list[tuple[Request, bool]] = []
        """By the data that are parsed just now."""
        self._task: asyncio.Task[None] | None = None
        self._is_deaf = False
        """Whether nothing more is understood: what still arrives is thrown away."""
        self._may_write: asyncio.Event | None = None
        """While the client does not read its answers."""
        self._is_lingering = False
        """Whether only the client's end is waited for: closing on what it still sends would take our answer from it."""
        self._since = self._loop.time()
        """When the request that is arriving began, the last answer was written, or the client stopped reading."""
        self._is_arriving = self._in_headers = True
        self._begin()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        self._on_closed()
        self._is_deaf = True
        self._waiting.clear()
        if self._may_write:
            self._may_write.set()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf or self._is_known(data):
            return
        headers, begins_here = self._headers, not self._is_inside
        self._completed.clear()
        try:
            self._parser.feed_data(data)
            if begins_here and len(self._completed) == 1 and not self._is_inside:
                self._remember(data, *self._completed[0])
            if self._in_headers and self._headers is headers:  # a header that is not whole is not told of
                self._count_header(len(data))
        except httptools.HttpParserUpgrade:  # offered to nobody: the request itself is an ordinary one
            self._is_deaf = True
        except RequestError as error:
            self._refuse(error)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, RequestError) else RequestError(f"not HTTP/1.1: {error}"))

    def _is_known(self, data: bytes) -> bool:
        """Take a whole request whose head came before, byte for byte, without parsing it again."""
        if self._is_inside:
            return False
        end = data.find(HEAD_END) + len(HEAD_END)
        head = self._heads.get(data[:end])
        if head is None or len(data) - end != head.num_bytes:
            return False
        asked = head.request
        self._is_arriving = self._in_headers = False
        self._since = self._loop.time()
        self._enqueue((Request(asked.method, asked.path, asked.query_string, asked.headers, data[end:]), True))
        return True

    def _remember(self, data: bytes, request: Request, goes_on: bool) -> None:
        """The head of a request that was all of `data`, unless it asks for more than an answer."""
        end = data.find(HEAD_END) + len(HEAD_END)
        length = request.headers.get(b"content-length", b"0")
        if not goes_on or end > KNOWN_HEAD_BYTES or b"expect" in request.headers or int(length) != len(data) - end:
            return
        if len(self._heads) >= KNOWN_HEADS:
            self._heads.clear()
        bare = Request(request.method, request.path, request.query_string, request.headers, b"")
        self._heads[data[:end]] = Head(bare, len(data) - end)

    def eof_received(self) -> bool:
        """A client that closed its half after a whole request still gets its answer: true keeps the other half open."""
        self._is_deaf = True
        return self._task is not None

    def pause_writing(self) -> None:
        self._may_write = asyncio.Event()
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        if self._may_write:
            self._may_write.set()
            self._may_write = None

    # what httptools calls

    def on_message_begin(self) -> None:
        self._is_inside = True
        self._is_arriving = self._in_headers = True
        self._since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header(len(name) + len(value))
        if self._in_headers:  # those after a chunked body are counted and not heeded
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._header_bytes = 0
        if int(self._headers.get(b"content-length", 0)) > self._answering.max_body_bytes:
            raise self._answering.too_large()
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and self._task is None:
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > self._answering.max_body_bytes:
            raise self._answering.too_large()

    def on_message_complete(self) -> None:
        self._is_arriving = self._is_inside = False
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = incoming(self._parser.get_method(), self._url, self._headers, body)
        parser = self._parser
        goes_on = parser.should_keep_alive() and parser.get_http_version() != "1.0" and not parser.should_upgrade()
        self._begin()
        self._completed.append((request, goes_on))
        self._enqueue((request, goes_on))

    # the way of a request

    def _begin(self) -> None:
        self._url, self._headers, self._body = b"", dict[bytes, bytes](), list[bytes]()
        self._header_bytes = self._body_bytes = 0

    def _count_header(self, more: int) -> None:
        """Raises: RequestError (431)."""
        self._header_bytes += more
        if self._header_bytes > MAX_HEADER_BYTES:
            raise RequestError(f"headers exceed {MAX_HEADER_BYTES} bytes", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _enqueue(self, item: tuple[Request, bool] | RequestError) -> None:
        self._waiting.append(item)
        if len(self._waiting) >= MAX_PIPELINED:
            self._transport.pause_reading()
        if self._task is None:
            self._task = self._loop.create_task(self._answer_all())

    def _refuse(self, error: RequestError) -> None:
        """The last answer of a connection of which nothing more can be understood."""
        self._is_deaf = True
        self._is_arriving = False
        self._enqueue(error)

    async def _answer_all(self) -> None:
        """Answer what waits, in its order; then rest."""
        goes_on = True
        while self._waiting and goes_on:
            item = self._waiting.popleft()
            if len(self._waiting) == MAX_PIPELINED - 1:
                self._transport.resume_reading()
            if isinstance(item, RequestError):
                goes_on, self._is_lingering = False, not self._transport.is_closing()
                self._write(error_response(item), "GET", goes_on)
            else:
                request, goes_on = item
                response = await self._answering.answer(request, self._client)
                goes_on = goes_on and not self._answering.draining
                self._write(response, request.method, goes_on)
            if self._may_write:
                await self._may_write.wait()
        self._task = None
        if self._is_lingering:
            self._transport.write_eof()
        elif not goes_on or self._is_deaf:
            self._transport.close()

    def _write(self, response: Response, method: str, goes_on: bool) -> None:
        if not self._transport.is_closing():
            self._transport.write(outgoing(response, method, goes_on))
        self._since = self._loop.time()

    # what the worker calls

    def expire(self, read_timeout_s: float, idle_timeout_s: float) -> None:
        """Close when a request has been arriving, or the connection has been silent or unread, for too long."""
        elapsed = self._loop.time() - self._since
        if self._may_write or self._is_lingering:
            if elapsed > (read_timeout_s if self._may_write else LINGER_S):
                self._transport.abort()
        elif self._is_arriving and self._transport.is_reading() and elapsed > read_timeout_s:
            self._refuse(RequestError(f"the request did not arrive within {read_timeout_s} s", HTTPStatus.REQUEST_TIMEOUT))
        elif self._task is None and elapsed > idle_timeout_s:
            self._transport.close()

    def shutdown(self) -> None:
        """Close now, or after the answers that are on their way."""
        self._is_deaf = True
        if self._task is None:
            self._transport.close()
