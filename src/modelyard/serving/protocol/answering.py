"""Answering a request: its id, decompression and compression, errors, the access log."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
import traceback
from dataclasses import dataclass
from http import HTTPStatus

from modelyard.errors import RequestError
from modelyard.serving.http.body_budget import BodyBudget
from modelyard.serving.http.exchange import MAX_OBJECT_BYTES, Request, Response
from modelyard.serving.http.hosts import Hosts
from modelyard.serving.http.http_message import KnownHeads
from modelyard.serving.http.origins import Origins
from modelyard.serving.http.places import client_of, is_trusted
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes.events import log_event
from modelyard.serving.processes.metrics import count_refusal
from modelyard.serving.protocol.handlers import Handlers
from modelyard.serving.protocol.packing import STEP, pack, unpack

MAX_ID_LENGTH = 128


@dataclass(slots=True, eq=False)
class Arrived:
    """A request as its connection read it."""

    request: Request
    goes_on: bool
    """Whether the connection stays open after it."""
    cost: int
    """Bytes reserved for it in the budget."""
    refusal: RequestError | None = None
    """Why it did not arrive whole, if so."""


class Answering:
    """What a connection calls; the handlers behind it get decompressed bodies."""

    def __init__(self, handlers: Handlers, options: ServeOptions, counters: memoryview[int]) -> None:
        self._handlers = handlers
        self._counters = counters
        self._max_body_bytes = options.max_body_bytes
        self.budget = BodyBudget(max(options.max_bodies_bytes, 2 * options.max_body_bytes))
        self.heads = KnownHeads()
        self._origins = Origins(options.origins)
        self._proxies = options.trusted_proxies
        self._hosts = Hosts(
            [options.host, *options.allowed_hosts, *(name for _, name, _ in self._origins.named)]
        )
        self._access_log = options.access_log
        self._id_prefix = os.urandom(4).hex().encode()
        self._ids = itertools.count(1)

    @property
    def draining(self) -> bool:
        """Whether connections should close after their next answer."""
        return self._handlers.draining

    def check_head(self, head: Request, client: str) -> int:
        """The most bytes that the body may have, checked before any of it is read. Raises: RequestError for a
        head that is refused.
        """
        if (host := head.headers.get(b"host")) is not None:
            self._hosts.check(host)
        self._origins.check(head, by_proxy=is_trusted(client, self._proxies))
        limit = (
            self._max_body_bytes if head.method == "POST" else MAX_OBJECT_BYTES
        )  # nothing else needs any, nor a token
        num_bytes = int(head.headers.get(b"content-length", 0))
        if num_bytes or b"transfer-encoding" in head.headers:
            self._handlers.check_head(head)
        if num_bytes > limit:
            raise too_large(limit)
        return limit

    async def answer(self, arrived: Arrived, client: str) -> Response:
        """The answer to a request; every error is an answer with `error`."""
        started = time.perf_counter()
        request = arrived.request
        headers = request.headers
        request_id = self._request_id(headers.get(b"x-request-id"))
        num_unpacked = 0
        try:
            encoding = headers.get(b"content-encoding")
            if arrived.refusal is not None:  # raised here it would keep this frame
                response = self._refuse(request, arrived.refusal)
            else:
                if encoding is not None and encoding.lower() != b"identity":
                    request.body = await self._unpack(request.body, encoding.lower())
                    num_unpacked = len(request.body)
                left = self._origins.preflight(request) if request.method == "OPTIONS" else None
                response = left or await self._handlers.answer(request)
        except RequestError as error:
            response = self._refuse(request, error)
        except Exception:
            log_event(
                "fault", {"id": request_id.decode(), "path": request.path, "trace": traceback.format_exc()}
            )
            response = self._refuse(
                request, RequestError("the server failed; its log has the request id", 500)
            )
        finally:
            self.budget.held -= num_unpacked
        self._counters[response.status // 100] += 1
        accepted = headers.get(b"accept-encoding")
        if accepted is not None and response.body:
            pack(request, response, accepted)
        response.headers.append((b"x-request-id", request_id))
        if self._origins.named:
            self._origins.permit(request, response)
        if self._access_log or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            client = client_of(client, headers.get(b"x-forwarded-for", b""), self._proxies)
            told = {
                "id": request_id.decode(),
                "client": client,
                "method": request.method,
                "path": request.path,
            }
            elapsed_ms = round((time.perf_counter() - started) * 1e3, 3)
            log_event("request", {**told, "status": int(response.status), "ms": elapsed_ms})
        return response

    def _refuse(self, request: Request, error: RequestError) -> Response:
        count_refusal(self._counters, error.status, error.reason)
        return self._handlers.refuse(request, error)

    def _request_id(self, given: bytes | None) -> bytes:
        """The caller's id when it is short and printable, else a new one."""
        if given and len(given) <= MAX_ID_LENGTH and given.isascii() and given.decode().isprintable():
            return given
        return b"%b-%x" % (self._id_prefix, next(self._ids))

    async def _unpack(self, body: bytes, encoding: bytes) -> bytes:
        """The decompressed body, counted in the budget; other requests are answered between its pieces.
        Raises: RequestError.
        """
        plain = bytearray()
        try:
            for piece in unpack(body, encoding):
                if len(plain) + len(piece) > self._max_body_bytes:
                    raise too_large(self._max_body_bytes)
                self.budget.take(len(piece), len(plain) + len(piece))
                plain += piece
                if len(plain) > STEP:
                    await asyncio.sleep(0)
        except BaseException:  # also when its client has gone
            self.budget.held -= len(plain)
            raise
        return bytes(plain)


def too_large(limit: int) -> RequestError:
    """The error for a body beyond the limit, compressed or not."""
    return RequestError(
        f"the body is larger than {limit} bytes; send fewer rows", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    )
