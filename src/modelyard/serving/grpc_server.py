"""Open Inference Protocol V2 over gRPC, as a process of its own: `python -m modelyard.serving.grpc_server --port 9701`.

Each call is put into the form that the HTTP server reads, JSON and binary tensors, so both fronts accept, refuse and
answer the same. It follows promotions as the HTTP server does. For conformance, not for speed: gRPC in Python costs
more than this server's models. To use more cores start it again on the same port; the kernel shares the calls.

`:authority` is not checked, as Host is over HTTP: grpc.aio does not tell it. No page can call here under a rebound name:
browsers speak HTTP/2 over TLS alone, and this port speaks it in plain text alone.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import grpc
import orjson
from open_inference.grpc import protocol
from open_inference.grpc.service import GRPCInferenceServiceServicer, add_GRPCInferenceServiceServicer_to_server

import modelyard
from modelyard.errors import ConfigError, ModelyardError, RequestError
from modelyard.serving.__main__ import read_options
from modelyard.serving.auth import Tokens
from modelyard.serving.events import log_event
from modelyard.serving.following import follow_releases
from modelyard.serving.grpc_messages import read_call, write_answer
from modelyard.serving.metrics import WorkerMetrics, allocate
from modelyard.serving.options import ServeOptions
from modelyard.serving.repository import Repository
from modelyard.serving.trials import Trials

DEFAULT_PORT = 9701
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT, 401: grpc.StatusCode.UNAUTHENTICATED, 404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE, 504: grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
"""HTTP status -> gRPC's; others are INTERNAL."""
OPEN_CALLS = ("/ServerLive", "/ServerReady")


class InferenceService(GRPCInferenceServiceServicer):
    """The calls of the protocol; names are the protocol's."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def ServerLive(self, request: Any, context: Any) -> Any:
        return protocol.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:
        return protocol.ServerReadyResponse(ready=self._repository.is_ready)

    async def ModelReady(self, request: Any, context: Any) -> Any:
        with suppress(RequestError):
            await self._repository.find(request.name, request.version or None)
            return protocol.ModelReadyResponse(ready=True)
        return protocol.ModelReadyResponse(ready=False)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        extensions = ["classification", "parameters"]
        return protocol.ServerMetadataResponse(name="modelyard", version=modelyard.__version__, extensions=extensions)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        try:
            served = await self._repository.find(request.name, request.version or None)
        except RequestError as error:
            return await _abort(context, error)
        metadata: dict[str, Any] = served.metadata(self._repository.versions(request.name))
        return protocol.ModelMetadataResponse(**metadata)

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        try:
            served = await self._repository.find(request.model_name, request.model_version or None)
            header, tensor = read_call(request, served.engine.input.row_bytes * served.limits.max_rows)
            head, rows = served.reader.read(b"%d" % len(header), header + tensor)
            outputs = await served.submit(rows, head.num_rows, _patience_s(head.timeout_s, context.time_remaining()))
            response = served.writer.write(head, outputs)
        except RequestError as error:
            return await _abort(context, error)
        length = int(dict(response.headers)[b"inference-header-content-length"])
        return write_answer(orjson.loads(response.body[:length]), response.body[length:], raw=bool(request.raw_input_contents))


def _patience_s(timeout_s: float | None, remaining_s: float | None) -> float | None:
    """The shorter of the request's `timeout` and the call's deadline; a call past its deadline waits for nothing."""
    given = [seconds for seconds in (timeout_s, None if remaining_s is None else max(remaining_s, 1e-6)) if seconds is not None]
    return min(given, default=None)


async def _abort(context: Any, error: RequestError) -> None:
    await context.abort(CODES.get(error.status, grpc.StatusCode.INTERNAL), str(error))


class TokenCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Bearer tokens in the call's metadata; health stays open, as over HTTP."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._refuse = grpc.stream_unary_rpc_method_handler(self._tell)  # which waits for no message

    async def _tell(self, requests: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "expected the metadata authorization: Bearer <token>")

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        given = dict(details.invocation_metadata).get("authorization", "")
        if details.method.endswith(OPEN_CALLS) or self._tokens.allow(given.encode()):
            return await continuation(details)
        return self._refuse


async def serve(options: ServeOptions, trials: Trials) -> None:
    """Serve until SIGTERM or SIGINT. Raises: ModelyardError when there is nothing that can be served."""
    repository = Repository(options, WorkerMetrics(allocate(1), 0), ThreadPoolExecutor(1, "runner"), frozenset(), trials)
    await repository.start()
    tokens = Tokens(options.token_file) if options.token_file else None
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", options.max_body_bytes)],
        interceptors=[TokenCheck(tokens)] if tokens else [],
    )
    add_GRPCInferenceServiceServicer_to_server(InferenceService(repository), server)  # type: ignore[no-untyped-call]
    host = f"[{options.host}]" if ":" in options.host else options.host
    try:
        port = server.add_insecure_port(f"{host}:{options.port}")
    except RuntimeError as error:
        raise ConfigError(f"cannot listen on {host}:{options.port}; choose another --port or --host") from error
    await server.start()
    log_event("ready", {"grpc": f"{host}:{port}", "models": sorted(repository.current)})
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    following = asyncio.create_task(follow_releases(repository, tokens, options.poll_s))
    await stop.wait()
    following.cancel()
    await server.stop(options.drain_s)


def main(arguments: list[str]) -> int:
    """As the HTTP server's: 0 stopped, 2 nothing to serve or wrong options."""
    try:
        options = read_options(["--port", str(DEFAULT_PORT), *arguments])
        asyncio.run(serve(options, Trials(options.load_timeout_s, options.load_memory_mb)))
    except ModelyardError as error:
        sys.stderr.write(f"modelyard: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
