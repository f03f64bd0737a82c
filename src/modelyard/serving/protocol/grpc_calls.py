"""Calls of gRPC, translated to the HTTP requests of the same meaning, so that both are checked, counted and
logged alike.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import orjson
from google.protobuf.json_format import ParseDict
from tritonclient.grpc import service_pb2 as protocol

from modelyard.errors import RequestError
from modelyard.serving.http.exchange import Request, Response
from modelyard.serving.models.repository import Repository
from modelyard.serving.models.served import Served
from modelyard.serving.processes.metrics import count_failure
from modelyard.serving.protocol.answering import Answering, Arrived
from modelyard.serving.protocol.grpc_messages import read_call, write_answer

LENGTH = b"inference-header-content-length"
Answer = Callable[[Any, Any], Any]
"""From a message and gRPC's context to a coroutine of the answer. Raises: RequestError."""


def _model(name: str, version: str) -> str:
    return f"/v2/models/{name}/versions/{version}" if version else f"/v2/models/{name}"


ASKED: dict[str, tuple[str, Callable[[Any], str]]] = {
    "ServerLive": ("", lambda _: "/v2/health/live"),
    "ServerReady": ("", lambda _: "/v2/health/ready"),
    "ServerMetadata": ("", lambda _: "/v2"),
    "ModelReady": ("", lambda call: f"{_model(call.name, call.version)}/ready"),
    "ModelMetadata": ("", lambda call: _model(call.name, call.version)),
    "ModelConfig": ("config", lambda call: f"{_model(call.name, call.version)}/config"),
    "ModelStatistics": (
        "",
        lambda call: f"{_model(call.name, call.version) if call.name else '/v2/models'}/stats",
    ),
    "RepositoryIndex": ("models", lambda _: "/v2/repository/index"),
    "RepositoryModelLoad": ("", lambda call: f"/v2/repository/models/{call.model_name}/load"),
    "RepositoryModelUnload": ("", lambda call: f"/v2/repository/models/{call.model_name}/unload"),
}
"""Name of a call -> the field that takes the whole JSON answer, if one does, and the path. Changes are POST,
all others GET.
"""


class Calls:
    """The calls of the protocol that give one answer to one message."""

    def __init__(self, repository: Repository, answering: Answering) -> None:
        self._repository = repository
        self._answering = answering
        self.by_name: dict[str, Answer] = {name: partial(self._tell, name) for name in ASKED}
        self.by_name["ModelInfer"] = self._infer

    async def _tell(self, name: str, call: Any, context: Any) -> Any:
        (field, path), answer = ASKED[name], getattr(protocol, f"{name}Response")()
        order: dict[str, object] = {}
        if name == "RepositoryIndex":
            order = {"ready": call.ready}
        elif name.startswith("Repository"):  # which parameters there are counts, not their values
            order = {"parameters": dict.fromkeys(call.parameters, True)}
        try:
            if hasattr(call, "name") and (call.name or name != "ModelStatistics"):
                await self._find(call.name, call.version, path(call), context)
            response = await self.ask(path(call), context, orjson.dumps(order) if order else b"")
        except RequestError:
            if name not in {"ServerReady", "ModelReady"}:
                raise
            return answer
        told = orjson.loads(response.body or b"{}")
        return ParseDict({field: told} if field else told, answer, ignore_unknown_fields=True)

    async def ask(
        self,
        path: str,
        context: Any,
        body: bytes = b"",
        *,
        header_bytes: int = 0,
        refusal: RequestError | None = None,
    ) -> Response:
        """What the HTTP server answers to the same caller; `refusal`: an error that was found before. Raises:
        RequestError.
        """
        token = dict(context.invocation_metadata()).get("authorization", "").encode()
        headers = {b"authorization": token} | ({LENGTH: b"%d" % header_bytes} if header_bytes else {})
        request = Request("POST" if body or refusal else "GET", path, b"", headers, body)
        client = (
            unquote(context.peer()).partition(":")[2].rpartition(":")[0].strip("[]")
        )  # ipv6:%5B::1%5D:4711
        response = await self._answering.answer(
            Arrived(request, goes_on=True, cost=0, refusal=refusal), client
        )
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise RequestError(orjson.loads(response.body).get("error", "not ready"), response.status)
        return response

    async def _find(self, name: str, version: str, path: str, context: Any) -> Served:
        """The served model of this name, which may contain slashes. Raises: RequestError (404)."""
        try:
            return await self._repository.find(name, version or None)
        except RequestError as error:
            await self.ask(path, context, refusal=error)
            raise

    async def _infer(self, call: Any, context: Any) -> Any:
        path = f"{_model(call.model_name, call.model_version)}/infer"
        served = await self._find(call.model_name, call.model_version, path, context)
        try:
            header, tensor = read_call(
                call, served.engine.input, served.limits.max_rows, context.time_remaining()
            )
        except RequestError as error:
            count_failure(served.counters, error)
            await self.ask(path, context, refusal=error)
            raise
        response = await self.ask(path, context, header + tensor, header_bytes=len(header))
        length = int(dict(response.headers)[LENGTH])
        told, tensors = orjson.loads(response.body[:length]), response.body[length:]
        return write_answer(told, tensors, raw=bool(call.raw_input_contents))

    async def infer_in_stream(self, call: Any, context: Any) -> Any:
        """One answer of a stream; as in Triton an error is part of the stream, which goes on."""
        answer = protocol.ModelStreamInferResponse()
        try:
            answer.infer_response.CopyFrom(await self._infer(call, context))
        except RequestError as error:
            answer.error_message, answer.infer_response.id = str(error), call.id
        answer.infer_response.parameters["triton_final_response"].bool_param = True
        return answer
