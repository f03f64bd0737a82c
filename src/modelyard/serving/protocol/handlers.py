"""Every route. Knows no HTTP library: a `Request` comes in, a `Response` goes out."""

from __future__ import annotations

import mmap
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

import modelyard
from modelyard.errors import RequestError, quoted
from modelyard.serving.http.auth import Callers
from modelyard.serving.http.exchange import (
    JSON_TYPE,
    Request,
    Response,
    WrongMethod,
    error_response,
    json_response,
)
from modelyard.serving.http.limits import LARGE_BYTES, Turns
from modelyard.serving.models.repository import Repository
from modelyard.serving.models.served import Served
from modelyard.serving.page.files import page_file
from modelyard.serving.processes.exposition import PROMETHEUS_TYPE, prometheus_text, statistics
from modelyard.serving.processes.metrics import Counted, totals
from modelyard.serving.protocol import invocations
from modelyard.serving.protocol.infer_head import NO_SHARED_MEMORY, parameters_of
from modelyard.serving.protocol.uploads import Uploads

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
)
SHARED_MEMORY_PATHS = ("/v2/systemsharedmemory/", "/v2/cudasharedmemory/")
Handler = Callable[[Request], Awaitable[Response]]
ChangeModel = Callable[[str, str], Awaitable[None]]
"""("load" or "unload", name) in all workers. Raises: RequestError."""


class Handlers:
    """What one worker answers."""

    def __init__(
        self, repository: Repository, memory: mmap.mmap, *, callers: Callers, change_model: ChangeModel
    ) -> None:
        self.repository = repository
        self.draining = False
        self._turns, self._uploads = Turns(), Uploads()
        self._memory = memory
        self._callers = callers
        self._change_model = change_model
        self._fixed: dict[str, tuple[str, Handler]] = {
            "/v2": ("GET", self._server_metadata),
            "/v2/": ("GET", self._server_metadata),
            "/v2/health/live": ("GET", self._live),
            "/v2/health/ready": ("GET", self._ready),
            "/v2/models": ("GET", self._model_names),
            "/v2/models/stats": ("GET", self._all_statistics),
            "/v2/repository/index": ("POST", self._index),
            "/ping": ("GET", self._ping),
            "/health": ("GET", self._ping),
            "/version": ("GET", self._version),
            "/invocations": ("POST", self._invocations),
            "/predict": ("POST", self._predict),
            "/models": ("GET", self._models),
            "/metrics": ("GET", self._metrics),
            "/": ("GET", self._page),
            "/openapi.json": ("GET", self._page),
            "/favicon.ico": ("GET", self._page),
        }
        self._verbs: dict[str, tuple[str, Callable[[Served, str | None], object]]] = {
            "": ("GET", lambda served, _: served.metadata(repository.versions(served.name))),
            "ready": ("GET", lambda served, _: {"name": served.name, "ready": True}),
            "config": ("GET", lambda served, _: served.config()),
            "stats": ("GET", lambda served, version: statistics(totals(memory), served.name, version)),
        }

    def answer(self, request: Request) -> Awaitable[Response]:
        """The answer to any request. Raises: RequestError, and so does what is given."""
        self._callers.check(request)
        return self._handler(request)(request)

    def refuse(self, request: Request, error: RequestError) -> Response:
        """An error as the protocol of the path tells it."""
        return invocations.error_answer(error) if request.path == "/invocations" else error_response(error)

    def check_head(self, head: Request) -> None:
        """Before a body is read. Raises: RequestError (401, 403, 404, 405)."""
        self._callers.check(head)
        self._handler(head)

    def _handler(self, request: Request) -> Handler:
        """Raises: RequestError (403, 404, 405)."""
        path = request.path
        if path.startswith("/v2/models/") and path not in self._fixed:
            return self._route_model
        if path.startswith("/v2/repository/models/"):
            _check_method(request, "POST")
            self._callers.check_may_load(request)
            return self._change
        if path.startswith(SHARED_MEMORY_PATHS):
            raise RequestError(NO_SHARED_MEMORY)
        if path.startswith("/assets/"):
            method, handler = self._fixed["/"]
        elif path in self._fixed:
            method, handler = self._fixed[path]
        else:
            raise RequestError(f"nothing at {path}", HTTPStatus.NOT_FOUND)
        _check_method(request, method)
        return handler

    async def _route_model(self, request: Request) -> Response:
        """`/v2/models/M[/versions/V][/verb]`."""
        name, *rest = request.path[len("/v2/models/") :].split("/")
        version = None
        if rest[:1] == ["versions"] and len(rest) > 1:
            version, rest = rest[1], rest[2:]
        verb = "/".join(rest)
        if verb == "infer":
            _check_method(request, "POST")
            return await self._infer(request, name, version)
        if verb not in self._verbs or request.path.endswith("/"):
            raise RequestError(f"nothing at {request.path}", HTTPStatus.NOT_FOUND)
        method, told = self._verbs[verb]
        _check_method(request, method)
        return json_response(told(await self.repository.find(name, version), version))

    async def _infer(self, request: Request, name: str, version: str | None) -> Response:
        served = self.repository.current.get(name) if version is None else None
        if served is None:
            served = await self.repository.find(name, version)
        with Counted(served.counters):
            header_length = request.headers.get(b"inference-header-content-length")
            if header_length is None and len(request.body) > LARGE_BYTES:
                head, rows = await self._turns.read(
                    request.body, partial(served.reader.read, None, request.body)
                )
            else:
                head, rows = served.reader.read(header_length, request.body)
            outputs = await served.submit(rows, head.num_rows, head.timeout_s)
            return served.writer.write(head, outputs)

    async def _counted(
        self, request: Request, answer: Callable[[Served, Request], Awaitable[Response]]
    ) -> Response:
        served = await self.repository.find(
            request.query("model") or self.repository.default_name(), request.query("version")
        )
        with Counted(served.counters):
            return await answer(served, request)

    async def _invocations(self, request: Request) -> Response:
        return await self._counted(request, partial(invocations.invoke, self._turns, self._uploads))

    async def _predict(self, request: Request) -> Response:
        return await self._counted(
            request, lambda served, sent: self._uploads[served.manifest.form.kind].predict(served, sent)
        )

    async def _all_statistics(self, _: Request) -> Response:
        return json_response(statistics(totals(self._memory)))

    async def _server_metadata(self, _: Request) -> Response:
        return json_response(
            {"name": "modelyard", "version": modelyard.__version__, "extensions": EXTENSIONS}
        )

    async def _live(self, _: Request) -> Response:
        return json_response({"live": True})

    @property
    def _is_ready(self) -> bool:
        return self.repository.is_ready and not self.draining

    async def _ready(self, _: Request) -> Response:
        if self._is_ready:
            providers = {served.engine.provider for served in self.repository.current.values()}
            return json_response({"ready": True, "providers": sorted(providers)})
        missing = self.repository.missing
        reason = {"error": self.repository.absence(missing[0])} if missing else {}
        return json_response({"ready": False} | reason, HTTPStatus.SERVICE_UNAVAILABLE)

    async def _ping(self, _: Request) -> Response:
        self.repository.check_champion()
        return Response(
            HTTPStatus.OK if self.repository.current else HTTPStatus.NOT_FOUND, [JSON_TYPE], b"\n"
        )

    async def _version(self, _: Request) -> Response:
        return Response(HTTPStatus.OK, [JSON_TYPE], invocations.MLFLOW_VERSION.encode())

    async def _models(self, _: Request) -> Response:
        return json_response([served.card() for served in self.repository.current.values()])

    async def _model_names(self, _: Request) -> Response:
        return json_response({"models": list(self.repository.current)})

    async def _metrics(self, _: Request) -> Response:
        text = prometheus_text(self._memory, self.repository.current.values(), is_ready=self._is_ready)
        return Response(HTTPStatus.OK, [PROMETHEUS_TYPE], text)

    async def _page(self, request: Request) -> Response:
        return page_file(request)

    async def _index(self, request: Request) -> Response:
        ready_only = request.json_object().get("ready")
        if not isinstance(ready_only, bool | None):
            raise RequestError(f"ready: expected true or false, received {quoted(ready_only)}")
        return json_response(
            [row for row in self.repository.index() if not ready_only or row["state"] == "READY"]
        )

    async def _change(self, request: Request) -> Response:
        """`/v2/repository/models/M/load` and `/unload`."""
        name, _, order = request.path[len("/v2/repository/models/") :].rpartition("/")
        if order not in {"load", "unload"} or not name:
            raise RequestError(f"nothing at {request.path}", HTTPStatus.NOT_FOUND)
        if others := sorted(
            parameters_of(request.json_object(), f"the {order}").keys() - {"unload_dependents"}
        ):
            raise RequestError(
                f"parameter {quoted(others[0])} is not supported: a version is loaded as it was released"
            )
        await self._change_model(order, name)
        return Response(HTTPStatus.OK, [JSON_TYPE], b"")


def _check_method(request: Request, method: str) -> None:
    if request.method != method and not (method == "GET" and request.method == "HEAD"):
        raise WrongMethod(request, method)
