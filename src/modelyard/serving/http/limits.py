"""The limits of one request: rows, and bytes and complexity of its JSON.

Reading JSON holds the interpreter's lock, in whichever thread it happens, so all other requests wait
meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from modelyard.errors import RequestError
from modelyard.serving.protocol.inputs import Input

T = TypeVar("T")
HEAD_BYTES = 64 * 1024
"""The most bytes of a request besides its rows."""
LARGE_BYTES = 256 * 1024
"""JSON up to this size takes at most a few milliseconds to read, whatever it holds."""
UNIT_BYTES = 8
"""One unit is allowed for so many bytes: 8 MB may hold a million units of about 0.1 us each on a slow core.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of requests for one model. JSON is counted in units: one unit is the time that an integer
    takes to read.
    """

    max_rows: int
    max_json_bytes: int
    max_units: int

    @classmethod
    def of(cls, spec: Input, max_rows: int, max_json_bytes: int) -> Limits:
        """`max_json_bytes` is the bound of all models, lowered to what `max_rows` rows of this model can
        need.
        """
        needed = max_rows * spec.json_bytes + HEAD_BYTES
        return cls(max_rows, min(needed, max_json_bytes), max_json_bytes // UNIT_BYTES)

    def check_rows(self, num_rows: float) -> None:
        """Raises: RequestError (400)."""
        if not 1 <= num_rows <= self.max_rows:
            raise RequestError(f"expected 1 to {self.max_rows} rows, received {num_rows}")

    def check_json(self, body: bytes, *, has_files: bool = False) -> None:
        """Raises: RequestError (413) for JSON that would keep other requests waiting; base64 files may be
        large, since they are read quickly.
        """
        max_bytes = self.max_units * UNIT_BYTES if has_files else self.max_json_bytes
        if len(body) > max_bytes or (len(body) > LARGE_BYTES and _units(body) > self.max_units):
            raise RequestError(
                f"expected JSON of at most {max_bytes} bytes and {self.max_units} integers (a "
                "fraction, list or text "
                f"counts as several), received {len(body)} bytes; send fewer rows, or binary data to "
                "/v2/models/M/infer "
                "(Inference-Header-Content-Length), or one file to /predict",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )


def _units(body: bytes) -> int:
    """Units of a body: a fraction or exponent counts two; a list, an object or half a text counts three."""
    return sum(map(body.count, (b",", b".", b"e", b"E"))) + 2 * sum(map(body.count, (b"[", b"{", b'"')))


class Turns:
    """Reads large JSON one body at a time, with pauses as long as the reading took, so that other requests
    are answered.
    """

    def __init__(self) -> None:
        self._reading = asyncio.Lock()

    async def read(self, body: bytes, read: Callable[[], T]) -> T:
        """What `read` makes of `body`."""
        if len(body) <= LARGE_BYTES:
            return read()
        await self._reading.acquire()
        started = time.perf_counter()
        try:
            return read()
        finally:
            asyncio.get_running_loop().call_later(time.perf_counter() - started, self._reading.release)
