"""One client's connection: uvicorn's HTTP/1.1 protocol with the limits it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

MAX_HEADER_BYTES = 32 * 1024


class JoinedTransport(asyncio.Transport):
    """Sends a response's head together with what follows: one system call and one packet where uvicorn makes two."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None

    def write(self, data: Any) -> None:
        if self._head is not None:
            data, self._head = self._head + data, None
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 "):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send a head that nothing follows."""
        if self._head is not None:
            self._transport.write(self._head)
            self._head = None

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class Connection(HttpToolsProtocol):
    """Bounds a request's headers in bytes and its arrival in time, and answers what is not HTTP with `error`."""

    def __init__(self, config: Config, state: ServerState, on_closed: Callable[[], None]) -> None:
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self._on_closed = on_closed
        self._header_bytes = 0
        self._in_headers = True
        self.reading_since: float | None = self.loop.time()
        """When the request that is still arriving began; None between requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._joined = self.transport = JoinedTransport(transport)

    def on_response_complete(self) -> None:
        self._joined.flush()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._on_closed()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that closed its half after a whole request still gets its answer: true keeps the other half open."""
        cycle: Any = self.cycle
        is_waiting = cycle is not None and not cycle.response_complete and self.reading_since is None
        if is_waiting:
            cycle.keep_alive = False
        return is_waiting

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers exceed {MAX_HEADER_BYTES} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers, self._header_bytes = True, 0
        self.reading_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.reading_since = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self.refuse(HTTPStatus.BAD_REQUEST, msg)

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer and close, when nothing more of this connection can be understood."""
        if self.transport.is_closing():
            return
        body = orjson.dumps({"error": reason})
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        answered: Any = self.cycle
        if answered is None or answered.response_complete:
            self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()

    def expire(self, now: float, read_timeout_s: float) -> None:
        """Close when a request has been arriving for too long."""
        if self.reading_since is not None and now - self.reading_since > read_timeout_s:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"the request did not arrive within {read_timeout_s} s")
