"""How many bytes of requests a worker holds at once, whoever sent them."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from modelyard.errors import RequestError

REQUEST_BYTES = 1024
"""What a request is counted for beside its body and what is longer of its head."""
SMALL_BYTES = 32 * 1024
"""A sender that holds no more may take any room, others three quarters: large requests never shut out small
ones.
"""
Refuse = Callable[[RequestError], None]
"""Has a sender let go of the body that is arriving."""


class BodyBudget:
    """When there is no room, the sender that grew large last gives way, so that those before it end."""

    def __init__(self, limit: int) -> None:
        self.held = 0
        """Whoever lets go of a request takes its bytes off."""
        self._limit = limit
        self.large_limit = limit * 3 // 4
        self._large: dict[Refuse, None] = {}

    def take(self, num_bytes: int, size: int, refuse: Refuse | None = None) -> None:
        """Room for more bytes of a sender that holds `size` with them. Raises: RequestError (503)."""
        self.held += num_bytes
        limit = self._limit if size <= SMALL_BYTES else self.large_limit
        if refuse is not None and size > SMALL_BYTES:
            self._large[refuse] = None
        while self.held > limit:
            newest = self._large.popitem()[0] if self._large else refuse
            error = RequestError("too many requests are being sent at once", HTTPStatus.SERVICE_UNAVAILABLE)
            if newest is None or newest == refuse:
                self.held -= num_bytes
                raise error
            newest(error)

    def end(self, refuse: Refuse) -> None:
        """All of its body is there, or it sends no more."""
        self._large.pop(refuse, None)
