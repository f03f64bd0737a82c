"""Heads of requests that came before, on any connection of a worker: the same bytes always say the same."""

from __future__ import annotations

from typing import NamedTuple

from modelyard.serving.exchange import Request

HEAD_END = b"\r\n\r\n"
MAX_HEADS, MAX_HEAD_BYTES = 1024, 2048


class Head(NamedTuple):
    """What a head says of a request."""

    request: Request
    """With an empty body."""
    num_bytes: int
    """Of its body."""


class KnownHeads:
    """Only heads that were let in are remembered."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Request | None:
        """The request that is all of `data`, if its head came before, byte for byte."""
        end = data.find(HEAD_END) + len(HEAD_END)
        head = self._heads.get(data[:end])
        if head is None or len(data) - end != head.num_bytes:
            return None
        asked = head.request
        return Request(asked.method, asked.path, asked.query_string, asked.headers, data[end:])

    def remember(self, data: bytes, request: Request) -> None:
        """The head of a request that was all of `data` and after which the connection goes on."""
        end = data.find(HEAD_END) + len(HEAD_END)
        length = request.headers.get(b"content-length", b"0")
        if end > MAX_HEAD_BYTES or b"expect" in request.headers or int(length) != len(data) - end:
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        bare = Request(request.method, request.path, request.query_string, request.headers, b"")
        self._heads[data[:end]] = Head(bare, len(data) - end)
