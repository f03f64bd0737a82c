"""A webhook that misbehaves as it is told, on a real local server."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from urllib3.util.retry import Retry

QUICK = Retry(total=3, backoff_factor=0)
HANG, ENDLESS = 0, 507
"""The answers of a server that gives none, and of one that never ends its answer."""


class Webhook:
    """A server on a free port that answers each path with a list of statuses, the last one for ever."""

    def __init__(self, port: int = 0) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []
        """Path and payload of what was answered with 200."""
        self.asked: list[str] = []
        self.answers: dict[str, list[int]] = {}
        self.release = threading.Event()
        self.on_request: Callable[[], object] = lambda: None
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def url(self, path: str, *answers: int) -> str:
        self.answers[path] = list(answers or (200,))
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(webhook) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.asked.append(self.path)
                webhook.on_request()
                answers = webhook.answers[self.path]
                status = answers.pop(0) if len(answers) > 1 else answers[0]
                if status == HANG:
                    webhook.release.wait(20)
                    return
                if status == 200:
                    webhook.taken.append((self.path, body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
                with suppress(OSError):
                    while status == ENDLESS:
                        self.wfile.write(bytes(65536))

            def do_GET(self) -> None:
                raise AssertionError("a redirect was followed")

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler


def name(monkeypatch: pytest.MonkeyPatch, *urls: str) -> None:
    monkeypatch.setenv("MODELYARD_WEBHOOK", ",".join(urls))


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return int(closed.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
