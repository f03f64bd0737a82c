"""The memory that the requests of all connections of one worker may take together."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from modelyard.errors import RequestError

REQUEST_BYTES = 1024
"""What a request counts for, in addition to its body and to the part of its head that is longer than this."""
SMALL_BYTES = 32 * 1024
"""A sender that holds no more may use the whole budget, others three quarters of it: large requests never
shut out small ones.
"""
Refuse = Callable[[RequestError], None]
"""Makes a sender drop the body that is arriving."""


class BodyBudget:
    """Bytes held for requests. When there is no room, the sender that became large last is refused, so that
    those before it can finish.
    """

    def __init__(self, limit: int) -> None:
        self.held = 0
        """Bytes held now; whoever releases a request subtracts its bytes."""
        self._limit = limit
        self.large_limit = limit * 3 // 4
        self._large: dict[Refuse, None] = {}

    def take(self, num_bytes: int, size: int, refuse: Refuse | None = None) -> None:
        """Reserve more bytes for a sender that holds `size` with them. Raises: RequestError (503)."""
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
        """The body of a sender is complete, or it sends no more."""
        self._large.pop(refuse, None)
