"""gRPC's health service, which Kubernetes' `grpc:` probes ask.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from grpc_health.v1.health_pb2 import HealthCheckResponse, HealthListResponse

from modelyard.errors import RequestError, quoted
from modelyard.serving.protocol.handlers import Handlers

MAX_WATCHERS = 64
"""The most watching calls: they need no token, and each occupies one of `MAX_CALLS`."""
INFERENCE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"
SERVERS = ("", INFERENCE)
"""Names that mean the server as a whole; others are models."""


class Health:
    """The health of the server and of its models at the time of the call."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._watchers = 0

    def _status(self, service: str) -> Any:
        repository = self._handlers.repository
        if service not in {*SERVERS, *repository.pointers}:
            return HealthCheckResponse.SERVICE_UNKNOWN
        is_serving = repository.is_ready if service in SERVERS else service in repository.current
        is_serving = is_serving and not self._handlers.draining
        return HealthCheckResponse.SERVING if is_serving else HealthCheckResponse.NOT_SERVING

    async def check(self, call: Any, _: Any) -> Any:
        """Raises: RequestError (404)."""
        status = self._status(call.service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            raise RequestError(
                f"unknown service {quoted(call.service)}; expected a model or no name", HTTPStatus.NOT_FOUND
            )
        return HealthCheckResponse(status=status)

    async def list(self, _: Any, __: Any) -> Any:
        names = [*SERVERS, *self._handlers.repository.pointers]
        return HealthListResponse(
            statuses={name: HealthCheckResponse(status=self._status(name)) for name in names}
        )

    async def watch(self, service: str, ending: asyncio.Future[None], poll_s: float) -> AsyncIterator[Any]:
        """Each status that differs from the last, until the server ends; only the first when many watch."""
        self._watchers += 1
        try:
            told = None
            while True:
                if (status := self._status(service)) != told:
                    yield HealthCheckResponse(status=status)
                if ending.done() or self._watchers > MAX_WATCHERS:
                    return
                told = status
                await asyncio.wait({ending}, timeout=poll_s)
        finally:
            self._watchers -= 1
