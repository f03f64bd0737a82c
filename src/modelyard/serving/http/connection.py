"""The connection of one client: its requests are answered in order and within limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from modelyard.errors import RequestError
from modelyard.serving.http.body_budget import REQUEST_BYTES
from modelyard.serving.http.exchange import Request
from modelyard.serving.http.http_message import CONTINUE, outgoing
from modelyard.serving.http.message_reader import MessageReader
from modelyard.serving.protocol.answering import Answering, Arrived, too_large

MAX_PIPELINED = 16
"""Requests of one connection that may wait for the answers before theirs; at this number reading stops."""
LINGER_S = 2.0


class Connection(asyncio.Protocol):
    """Reads requests, answers them one by one and writes the answers."""

    def __init__(
        self, answering: Answering, open_connections: set[Connection], on_closed: Callable[[], None]
    ) -> None:
        self._answering = answering
        self._budget = answering.budget
        self._all = open_connections
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._reader = MessageReader(self)
        self._waiting: deque[Arrived] = deque()
        self._arriving = self._held = self._max_body_bytes = 0
        """Bytes reserved for the request that is arriving; bytes reserved for this connection in all; the
        longest body that the arriving request may have.
        """
        self._whole = b""
        """The data being parsed, if a request begins with them; else empty."""
        self._task: asyncio.Task[None] | None = None
        self._is_deaf = False
        """Whether what still arrives is discarded without being parsed."""
        self._may_write: asyncio.Event | None = None
        """Set while the client does not read its answers: the event that it reads again."""
        self._is_lingering = False
        """Whether our side is closed and the client's end is waited for: to close while it still sends would
        reset the connection, and our answer would be lost.
        """
        self._since = self._loop.time()
        """When the arriving request began, the last answer was written, or the client stopped reading."""
        self._is_arriving = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        self._on_closed()
        self._stop_listening()
        self._release(sum(one.cost for one in self._waiting))
        self._waiting.clear()
        if self._task:
            self._task.cancel()  # nobody waits for its answer
            self._task = None  # it keeps where it was cancelled, and so this

    def data_received(self, data: bytes) -> None:
        begins_here = not self._reader.is_inside
        if self._is_deaf or (begins_here and self._is_known(data)):
            return
        self._whole = data if begins_here else b""
        if (refusal := self._reader.feed(data)) is not None:
            self.refuse(refusal)
        self._whole = b""

    def _is_known(self, data: bytes) -> bool:
        """Accept a whole request whose head is known, without parsing it; False when that is not possible."""
        cost = REQUEST_BYTES + len(data)
        request = self._answering.heads.read(data)
        if (
            request is None or self._budget.held + cost > self._budget.large_limit
        ):  # the other way makes room or refuses
            return False
        self._budget.held += cost
        self._held += cost
        self._is_arriving = False
        self._since = self._loop.time()
        self._enqueue(Arrived(request, True, cost))
        return True

    def eof_received(self) -> bool:
        """A client that closed its sending half after a whole request still gets its answer; True keeps our
        half open.
        """
        self._stop_listening()
        return self._task is not None

    def pause_writing(self) -> None:
        self._may_write = asyncio.Event()
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        if self._may_write:
            self._may_write.set()
            self._may_write = None

    def on_begin(self) -> None:
        self._is_arriving = True
        self._since = self._loop.time()
        self.hold(REQUEST_BYTES)

    def hold(self, num_bytes: int) -> None:
        """Reserve memory for the arriving request. Raises: RequestError (503)."""
        self._budget.take(num_bytes, self._held + num_bytes, self.refuse)
        self._held += num_bytes
        self._arriving += num_bytes

    def on_head(self, head: Request) -> None:
        self._max_body_bytes = self._answering.check_head(head, self._client)
        if b"expect" in head.headers and self._task is None:
            self._transport.write(CONTINUE)

    def on_body_bytes(self, num_bytes: int, size: int) -> None:
        if size > self._max_body_bytes:
            raise too_large(self._max_body_bytes)
        self.hold(num_bytes)

    def on_request(self, request: Request, goes_on: bool) -> None:
        if goes_on:
            self._answering.heads.remember(self._whole, request)
        self._enqueue(Arrived(request, goes_on, self._end_arriving()))

    def _release(self, num_bytes: int) -> None:
        self._held -= num_bytes
        self._budget.held -= num_bytes

    def _end_arriving(self) -> int:
        """End the reservation of the arriving request; gives the bytes that were reserved."""
        self._is_arriving = False
        self._budget.end(self.refuse)
        cost, self._arriving = self._arriving, 0
        return cost

    def _stop_listening(self) -> None:
        """Parse nothing more, and drop what has arrived in part."""
        self._is_deaf = True
        self._release(self._end_arriving())
        self._reader.close()

    def _enqueue(self, item: Arrived) -> None:
        self._waiting.append(item)
        if len(self._waiting) >= MAX_PIPELINED:
            self._transport.pause_reading()
        if self._task is None:
            self._task = self._loop.create_task(self._answer_all())

    def refuse(self, error: RequestError) -> None:
        """Send this error after the answers before it; nothing more is parsed."""
        head = self._reader.head
        error.reason = "http" if error.status == HTTPStatus.BAD_REQUEST else error.reason
        self._stop_listening()
        self._enqueue(Arrived(head, False, 0, error))

    async def _answer_all(self) -> None:
        """Answer the requests that wait, in order, until none is left."""
        goes_on = True
        while self._waiting and goes_on:
            arrived = self._waiting.popleft()
            if len(self._waiting) == MAX_PIPELINED - 1:
                self._transport.resume_reading()
            try:
                response = await self._answering.answer(arrived, self._client)
            finally:
                self._release(arrived.cost)
            goes_on = arrived.goes_on and not self._answering.draining
            if not self._transport.is_closing():
                self._is_lingering = arrived.refusal is not None
                self._transport.write(outgoing(response, arrived.request.method, goes_on))
            self._since = self._loop.time()
            del arrived, response  # not while the client does not read
            if self._may_write:
                await self._may_write.wait()
            elif len(self._waiting) >= MAX_PIPELINED:
                await asyncio.sleep(0)  # others too have requests
        self._task = None
        if self._is_lingering and not self._transport.is_closing():
            self._transport.write_eof()
        elif not goes_on or self._is_deaf:
            self._transport.close()

    def expire(self, read_timeout_s: float, idle_timeout_s: float) -> None:
        """Close when a request has been arriving, or the connection has been silent or unread,
        for too long.
        """
        elapsed = self._loop.time() - self._since
        if self._may_write or self._is_lingering:
            if elapsed > (read_timeout_s if self._may_write else LINGER_S):
                self._transport.abort()
        elif self._is_arriving and self._transport.is_reading() and elapsed > read_timeout_s:
            self.refuse(
                RequestError(
                    f"the request did not arrive within {read_timeout_s} s", HTTPStatus.REQUEST_TIMEOUT
                )
            )
        elif self._task is None and elapsed > idle_timeout_s:
            self._transport.close()

    def shutdown(self) -> None:
        """Close now, or after the answers to requests that have arrived."""
        self._stop_listening()
        if self._task is None:
            self._transport.close()
