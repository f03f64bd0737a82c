"""How many bytes of requests a worker holds at once, whoever sent them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol

from modelyard.errors import RequestError

HEAD_BYTES = 1024
"""What a request is counted for beside its body."""
SMALL_BYTES = 32 * 1024
"""A sender that holds no more may take any room, others three quarters: large requests never shut out small ones."""


class Sender(Protocol):
    """Who sends a body."""

    def refuse(self, error: RequestError) -> None:
        """Let go of the body that is arriving."""


class BodyBudget:
    """When there is no room, the sender that grew large last gives way, so that those before it end."""

    def __init__(self, limit: int) -> None:
        self.held = 0
        """Whoever lets go of a request takes its bytes off."""
        self._limit = limit
        self.large_limit = limit * 3 // 4
        self._large: dict[Sender, None] = {}

    def take(self, num_bytes: int, size: int, sender: Sender | None = None) -> None:
        """Room for more bytes of a sender that holds `size` with them. Raises: RequestError (503)."""
        self.held += num_bytes
        limit = self._limit if size <= SMALL_BYTES else self.large_limit
        if sender is not None and size > SMALL_BYTES:
            self._large[sender] = None
        while self.held > limit:
            newest = self._large.popitem()[0] if self._large else sender
            error = RequestError("too many requests are being sent at once", HTTPStatus.SERVICE_UNAVAILABLE)
            if newest is None or newest is sender:
                self.held -= num_bytes
                raise error
            newest.refuse(error)

    def end(self, sender: Sender) -> None:
        """All of its body is there, or it sends no more."""
        self._large.pop(sender, None)
