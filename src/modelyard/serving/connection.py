"""One client's connection: its requests are answered in order, within limits.

Nothing stands between the socket and the handlers but this and the parser: no ASGI, no task or queue beside one task an answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from modelyard.errors import RequestError
from modelyard.serving.answering import Answering
from modelyard.serving.body_budget import HEAD_BYTES
from modelyard.serving.exchange import Request, Response
from modelyard.serving.http_message import NO_HEAD, outgoing
from modelyard.serving.message_reader import MessageReader

MAX_PIPELINED = 16
"""Requests of one connection that may wait for the answers before theirs; then nothing more is read."""
LINGER_S = 2.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
Waiting = tuple[Request, bool, int, RequestError | None]
"""A request, whether the connection goes on after it, its bytes of the budget, and why it did not arrive whole."""


class Connection(asyncio.Protocol):
    """Reads requests, hands them on one by one and writes their answers."""

    def __init__(self, answering: Answering, open_connections: set[Connection], on_closed: Callable[[], None]) -> None:
        self._answering = answering
        self._budget = answering.budget
        self._all = open_connections
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._reader = MessageReader(self)
        self._waiting: deque[Waiting] = deque()
        self._heads = answering.heads
        self._head = NO_HEAD
        """Of the request that is arriving."""
        self._arriving = self._held = 0
        """Bytes of the budget for it, and for all requests of this connection."""
        self._completed: list[Waiting] = []
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
        self._is_arriving = True

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if peer else ""
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        self._on_closed()
        self._stop_listening()
        self._release(sum(cost for _, _, cost, _ in self._waiting))
        self._waiting.clear()
        if self._may_write:
            self._may_write.set()

    def data_received(self, data: bytes) -> None:
        begins_here = not self._reader.is_inside
        if self._is_deaf or (begins_here and self._is_known(data)):
            return
        refusal = self._reader.feed(data)
        if refusal is not None:
            self.refuse(refusal)
        elif begins_here and len(self._completed) == 1 and not self._reader.is_inside:
            request, goes_on, *_ = self._completed[0]
            if goes_on:
                self._heads.remember(data, request)
        self._completed.clear()

    def _is_known(self, data: bytes) -> bool:
        """Take a whole request without parsing its head again."""
        cost = HEAD_BYTES + len(data)
        if self._budget.held + cost > self._budget.large_limit:  # the other way makes room or refuses
            return False
        request = self._heads.read(data)
        if request is None:
            return False
        self._budget.held += cost
        self._held += cost
        self._is_arriving = False
        self._since = self._loop.time()
        self._enqueue((request, True, cost, None))
        return True

    def eof_received(self) -> bool:
        """A client that closed its half after a whole request still gets its answer: true keeps the other half open."""
        self._stop_listening()
        return self._task is not None

    def pause_writing(self) -> None:
        self._may_write = asyncio.Event()
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        if self._may_write:
            self._may_write.set()
            self._may_write = None

    # what the reader calls

    def on_begin(self) -> None:
        self._is_arriving = True
        self._since = self._loop.time()
        self.hold(HEAD_BYTES)

    def hold(self, num_bytes: int) -> None:
        """Raises: RequestError (503)."""
        self._budget.take(num_bytes, self._held + num_bytes, self.refuse)
        self._held += num_bytes
        self._arriving += num_bytes

    def on_head(self, head: Request) -> None:
        self._head = head
        self._answering.check_head(head)
        if b"expect" in head.headers and self._task is None:
            self._transport.write(CONTINUE)

    def on_body_bytes(self, num_bytes: int, size: int) -> None:
        if size > self._answering.max_body_bytes:
            raise self._answering.too_large()
        self.hold(num_bytes)

    def on_request(self, request: Request, goes_on: bool) -> None:
        self._completed.append((request, goes_on, self._arriving, None))
        self._arriving = 0
        self._end_arriving()
        self._enqueue(self._completed[-1])

    # the way of a request

    def _release(self, num_bytes: int) -> None:
        self._held -= num_bytes
        self._budget.held -= num_bytes

    def _end_arriving(self) -> None:
        self._is_arriving = False
        self._head = NO_HEAD
        self._budget.end(self.refuse)

    def _stop_listening(self) -> None:
        """Understand nothing more, and let go of what has arrived in part."""
        self._is_deaf = True
        self._release(self._arriving)
        self._arriving = 0
        self._end_arriving()
        self._reader.close()

    def _enqueue(self, item: Waiting) -> None:
        self._waiting.append(item)
        if len(self._waiting) >= MAX_PIPELINED:
            self._transport.pause_reading()
        if self._task is None:
            self._task = self._loop.create_task(self._answer_all())

    def refuse(self, error: RequestError) -> None:
        """Answer this after what waits; nothing more is understood."""
        head = self._head
        self._stop_listening()
        self._enqueue((head, False, 0, error))

    async def _answer_all(self) -> None:
        """Answer what waits, in its order; then rest."""
        goes_on = True
        while self._waiting and goes_on:
            request, goes_on, cost, refusal = self._waiting.popleft()
            if len(self._waiting) == MAX_PIPELINED - 1:
                self._transport.resume_reading()
            response = await self._answering.answer(request, self._client, refusal)
            self._release(cost)
            goes_on = goes_on and not self._answering.draining
            self._is_lingering = refusal is not None and not self._transport.is_closing()
            self._write(response, request.method, goes_on)
            del request, response, refusal  # not while the client does not read
            if self._may_write:
                await self._may_write.wait()
            elif len(self._waiting) >= MAX_PIPELINED:
                await asyncio.sleep(0)  # others too have requests
        self._task = None
        if self._is_lingering and not self._transport.is_closing():
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
            self.refuse(RequestError(f"the request did not arrive within {read_timeout_s} s", HTTPStatus.REQUEST_TIMEOUT))
        elif self._task is None and elapsed > idle_timeout_s:
            self._transport.close()

    def shutdown(self) -> None:
        """Close now, or after the answers that are on their way."""
        self._stop_listening()
        if self._task is None:
            self._transport.close()
