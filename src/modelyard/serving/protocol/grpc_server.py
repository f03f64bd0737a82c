"""Open Inference Protocol V2 over gRPC: one more process, beside the workers that answer HTTP.

It follows promotions, loads and unloads as the workers do, is replaced as they are and counts into the same
memory. It is for conformance, not for speed: gRPC in Python costs more than this server's models.

`:authority` is not checked as Host is over HTTP, since grpc.aio does not report it. No web page can call here
under a rebound name: browsers speak HTTP/2 over TLS only, and this port speaks it in plain text only.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio
from tritonclient.grpc import service_pb2

from modelyard.errors import ConfigError, RequestError
from modelyard.serving.http.auth import Tokens
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes.events import log_event
from modelyard.serving.protocol.answering import Answering
from modelyard.serving.protocol.grpc_calls import Answer, Calls
from modelyard.serving.protocol.grpc_health import HEALTH, INFERENCE, Health
from modelyard.serving.protocol.handlers import Handlers

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""HTTP status -> gRPC's; others are INTERNAL."""
OPEN_CALLS = (f"/{INFERENCE}/ServerLive", f"/{INFERENCE}/ServerReady", f"/{HEALTH}/")
UNSUPPORTED = tuple(
    f"/{INFERENCE}/{name}"
    for name in ("SystemSharedMemory", "CudaSharedMemory", "TraceSetting", "LogSettings")
)
"""Prefixes of Triton's calls that are not supported."""
MAX_CALLS = 256
"""The most calls at once."""
Messages = AsyncIterator[Any]
Behaviour = Callable[[Messages, Any], Messages]
"""From a call's messages and gRPC's context to its answers."""


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Bearer tokens in a call's metadata, before a message is read; health stays open, as over HTTP."""

    def __init__(self, tokens: Tokens | None, calls: Calls) -> None:
        self._tokens, self._calls = tokens, calls

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        given, method = dict(details.invocation_metadata).get("authorization", ""), details.method
        if self._tokens and not method.startswith(OPEN_CALLS) and not self._tokens.allow(given.encode()):
            return self._refusal(
                method, RequestError("expected the metadata authorization: Bearer <token>", 401)
            )
        if method.startswith(UNSUPPORTED):
            return self._refusal(
                method, RequestError("shared memory, tracing and log settings are not supported", 501)
            )
        return await continuation(details)

    def _refusal(self, method: str, error: RequestError) -> grpc.RpcMethodHandler:
        async def refuse(_: Messages, context: Any) -> None:
            with suppress(RequestError):  # told and counted
                await self._calls.ask(method, context, refusal=error)
            await context.abort(CODES[error.status], str(error))

        return grpc.stream_unary_rpc_method_handler(refuse)  # which waits for no message


def _service(file: Any, behaviours: Mapping[str, Behaviour], name: str = "") -> grpc.GenericRpcHandler:
    """The service of a file. All calls are streams here, as one message is one too: how long to wait is up to
    this server.
    """
    (service,) = file.services_by_name.values()
    handlers = {}
    for method in service.methods:
        if method.name in behaviours:
            given, told = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            behaviour = behaviours[method.name]
            handlers[method.name] = grpc.stream_stream_rpc_method_handler(
                behaviour, given.FromString, told.SerializeToString
            )
    return grpc.method_handlers_generic_handler(name or service.full_name, handlers)


class GrpcFront:
    """The gRPC server."""

    def __init__(
        self, options: ServeOptions, handlers: Handlers, answering: Answering, tokens: Tokens | None
    ) -> None:
        self._options = options
        self._repository = handlers.repository
        self._calls, self._health = Calls(handlers.repository, answering), Health(handlers)
        self._ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        silence_ms = int(options.idle_timeout_s * 1000)
        limits = [("max_receive_message_length", options.max_body_bytes), ("so_reuseport", 0)]
        limits += [("max_connection_idle_ms", silence_ms), ("keepalive_time_ms", silence_ms)]
        self._server = grpc.aio.server(
            interceptors=[Gate(tokens, self._calls)],
            options=[(f"grpc.{name}", value) for name, value in limits],
            maximum_concurrent_rpcs=MAX_CALLS,
        )

    async def open(self) -> GrpcFront:
        """Raises: ConfigError when another process listens there by now."""
        plain = self._calls.by_name | {"Check": self._health.check, "List": self._health.list}
        behaviours: dict[str, Behaviour] = {
            name: partial(self._answer, answer) for name, answer in plain.items()
        }
        behaviours["ModelStreamInfer"] = partial(self._answer, self._calls.infer_in_stream, is_patient=True)
        behaviours["Watch"] = self._watch
        behaviours["ServerReflectionInfo"] = aio.ReflectionServicer([INFERENCE, HEALTH]).ServerReflectionInfo
        services = [_service(file.DESCRIPTOR, behaviours) for file in (service_pb2, health_pb2)]
        for version in ("v1", "v1alpha"):  # which differ in their name alone
            services.append(
                _service(reflection_pb2.DESCRIPTOR, behaviours, f"grpc.reflection.{version}.ServerReflection")
            )
        self._server.add_generic_rpc_handlers(tuple(services))
        address = self._options.grpc_address
        try:
            self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ConfigError(f"cannot listen on {address}; choose another --grpc-port or --host") from error
        await self._server.start()
        return self

    async def drain(self) -> None:
        """Finish the calls that have begun; streams end after their next answer."""
        self._ending.set_result(None)
        await self._server.stop(self._options.drain_s)

    async def _next(self, messages: Messages, context: Any, timeout_s: float | None) -> Any:
        """The next message of a call, None after the last; without a timeout it is waited for until the
        server ends.
        """
        read = asyncio.ensure_future(anext(messages, None))
        ends = {read} if timeout_s else {read, self._ending}
        await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not read.done():
            read.cancel()
            code = grpc.StatusCode.DEADLINE_EXCEEDED if timeout_s else grpc.StatusCode.UNAVAILABLE
            await context.abort(
                code, f"no message within {timeout_s:g} s" if timeout_s else "the server ends"
            )
        try:
            return read.result()
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the bytes are no message of this call")

    async def _answer(
        self, answer: Answer, messages: Messages, context: Any, *, is_patient: bool = False
    ) -> Messages:
        """An answer to each message of a call; `is_patient`: wait for the next one without a timeout."""
        reading, timeout_s = aiter(messages), None if is_patient else self._options.read_timeout_s
        while (message := await self._next(reading, context, timeout_s)) is not None:
            try:
                told = await answer(message, context)
            except RequestError as error:
                await context.abort(self._code(error, message), str(error))
            except Exception:
                log_event("fault", {"where": "gRPC", "trace": traceback.format_exc()})
                await context.abort(grpc.StatusCode.INTERNAL, "the server failed; its log has the reason")
            yield told

    async def _watch(self, messages: Messages, context: Any) -> Messages:
        if (message := await self._next(aiter(messages), context, self._options.read_timeout_s)) is not None:
            async for status in self._health.watch(message.service, self._ending, self._options.poll_s):
                yield status

    def _code(self, error: RequestError, message: Any) -> grpc.StatusCode:
        """The gRPC status of an error; a known name not served now gets one that clients try again."""
        name = getattr(message, "model_name", "") or getattr(message, "name", "")
        if error.status == 404 and name in self._repository.pointers and name not in self._repository.current:
            return grpc.StatusCode.UNAVAILABLE
        return CODES.get(error.status, grpc.StatusCode.INTERNAL)
