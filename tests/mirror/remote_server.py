"""A real MLflow server to mirror to, a proxy that does it harm, and a comparison that asks the server's own
files.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from mlflow.tracking import MlflowClient

from modelyard.files import sha256_of_file
from modelyard.home import Home
from modelyard.machine.store_mark import store_id
from modelyard.mirror.copies import MODEL_TAG, RUN_TAG
from modelyard.mirror.metrics import history, point
from modelyard.mirror.sent import files_of, local_models, local_runs
from modelyard.mirror.version_copies import VERSION_TAG
from modelyard.tracking.store import EXPERIMENT, open_store


class MlflowServer:
    """`mlflow server` with a database and a disk of its own; it can be killed, paused and started again on
    its port.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.artifacts = folder, folder / "artifacts"
        self.artifacts.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self.database = f"sqlite:///{folder / 'server.db'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            self.database,
            "--serve-artifacts",
            "--artifacts-destination",
            str(self.artifacts),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--workers",
            "1",
        ]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")
        } | quiet
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.address}/health", timeout=2).status_code == httpx.codes.OK:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise TimeoutError((self.folder / "server.log").read_text()[-2000:])

    def signal(self, number: int) -> None:
        """To the server and its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, number)
            if number == signal.SIGKILL:
                self._process.wait()
                self._process = None

    @contextmanager
    def running(self) -> Iterator[MlflowServer]:
        """Started, and gone at the end."""
        self.start()
        try:
            yield self
        finally:
            self.signal(signal.SIGKILL)


class HarmfulProxy:
    """An HTTP proxy before a server that delays, refuses, loses answers to writes, and cuts uploads short."""

    def __init__(self, port: int) -> None:
        self.upstream, self.delay_s, self.status = port, 0.0, 0
        self.lost_answers, self.cut_uploads = 0, 0
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy._handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # whoever asked was killed
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[HarmfulProxy]:
        """Serving in a thread."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def heal(self) -> None:
        """No more harm."""
        self.delay_s, self.status, self.lost_answers, self.cut_uploads = 0.0, 0, 0, 0

    def _take(self, name: str) -> bool:
        with self._lock:
            left: int = getattr(self, name)
            setattr(self, name, max(0, left - 1))
        return left > 0

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        time.sleep(self.delay_s)
        if self.status:
            return self._answer(request, self.status, b"not now", "text/plain")
        if request.command == "PUT" and self._take("cut_uploads"):
            body = body[: len(body) // 2]
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("content-length", "host")
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=60)
        try:
            connection.request(request.command, request.path, body, headers)
            answer = connection.getresponse()
            content, kind = answer.read(), answer.headers.get("Content-Type", "")
        except OSError:
            request.close_connection = True
            return None
        finally:
            connection.close()
        is_write = request.command != "GET" and not request.path.endswith("/search")
        if is_write and self._take("lost_answers"):
            request.close_connection = True
            return None
        return self._answer(request, answer.status, content, kind)

    @staticmethod
    def _answer(request: BaseHTTPRequestHandler, status: int, content: bytes, kind: str) -> None:
        try:
            request.send_response(status)
            request.send_header("Content-Type", kind)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
        except OSError:  # whoever asked is gone
            request.close_connection = True


def differences(home: Home, server: MlflowServer) -> tuple[list[str], list[str]]:
    """What of the store is not at the server as it is here, and what is there more than once; read from the
    server's disk.
    """
    there, (here, _) = MlflowClient(server.database, server.database), open_store(home)
    found = there.get_experiment_by_name(EXPERIMENT)
    runs = there.search_runs([found.experiment_id]) if found else []
    lost: list[str] = []
    names = [run.data.tags.get(RUN_TAG) for run in runs]
    doubled = [f"run {name}" for name in set(names) if names.count(name) > 1]
    for local in local_runs(home):
        name = f"{store_id(home)}/{local.key}"
        if name not in names:
            lost.append(f"run {name}")
            continue
        copy = runs[names.index(name)]
        lost += [
            f"{local.name}: {part}" for part in _run_differences(server, (here, local.run), (there, copy))
        ]
        known = there.search_logged_models([copy.info.experiment_id], f"source_run_id = '{copy.info.run_id}'")
        for model_id in local.models:
            copies = [model for model in known if model.tags.get(MODEL_TAG) == f"{store_id(home)}/{model_id}"]
            doubled += [f"model {model_id}"] * (len(copies) > 1)
            lost += [
                f"{local.name}: model {part}"
                for part in _model_differences(server, here.get_logged_model(model_id), copies)
            ]
    for part, is_double in _version_differences(home, there):
        (doubled if is_double else lost).append(part)
    return lost, doubled


def _run_differences(
    server: MlflowServer, local: tuple[MlflowClient, Any], remote: tuple[MlflowClient, Any]
) -> Iterator[str]:
    (here, run), (there, copy) = local, remote
    for part in ("status", "start_time", "end_time", "run_name"):
        if getattr(run.info, part) != getattr(copy.info, part):
            yield f"{part} {getattr(run.info, part)} is {getattr(copy.info, part)}"
    if run.data.params != copy.data.params:
        yield "params"
    if {**copy.data.tags, **run.data.tags} != copy.data.tags:
        yield "tags"
    if run.inputs.to_dictionary() != copy.inputs.to_dictionary():
        yield "data sets"
    if len(run.outputs.model_outputs) != len(copy.outputs.model_outputs):
        yield "model outputs"
    if sorted(map(point, history(here, run))) != sorted(map(point, history(there, copy))):
        yield "metrics"
    if _digests(Path(run.info.artifact_uri)) != _digests(_on_disk(server, copy.info.artifact_uri)):
        yield "artifacts"


def _model_differences(server: MlflowServer, model: Any, copies: list[Any]) -> Iterator[str]:
    if not copies:
        yield "is missing"
        return
    if model.status != copies[0].status or model.params != copies[0].params:
        yield "fields"
    if sorted(map(point, model.metrics)) != sorted(map(point, copies[0].metrics)):
        yield "metrics"
    if _digests(Path(model.artifact_location)) != _digests(_on_disk(server, copies[0].artifact_location)):
        yield "files"


def _version_differences(home: Home, there: MlflowClient) -> Iterator[tuple[str, bool]]:
    for model in local_models(home):
        found = there.search_model_versions(f"name='{model.name}'")
        tags = [version.tags.get(VERSION_TAG) for version in found]
        numbers = {}
        for version in model.versions:
            tag = f"{store_id(home)}/{model.name}/{version.version}"
            if tags.count(tag) != 1:
                yield f"version {tag}", tags.count(tag) > 1
                continue
            copy = found[tags.index(tag)]
            numbers[str(version.version)] = str(copy.version)
            if {**copy.tags, **version.tags} != copy.tags:
                yield f"tags of version {tag}", False
            if copy.description != version.description:
                yield f"description of version {tag}", False
        if found:
            if there.get_registered_model(model.name).description != model.description:
                yield f"description of {model.name}", False
            aliases = {a: str(n) for a, n in there.get_registered_model(model.name).aliases.items()}
            if {alias: numbers.get(number) for alias, number in model.aliases.items()} != aliases:
                yield f"aliases of {model.name}", False


def _on_disk(server: MlflowServer, uri: str) -> Path:
    return server.artifacts / uri.removeprefix("mlflow-artifacts:/")


def _digests(folder: Path) -> dict[str, str]:
    return {path: sha256_of_file(file) for path, file in files_of(folder).items()}
