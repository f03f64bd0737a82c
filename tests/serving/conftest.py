"""A real server in its own process, and the models it serves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.bundles import Linear, quirks, release
from tests.serving.text_bundles import Counts, release_texts

START_S = 30
Serve = Callable[..., "Server"]


class Server:
    """A `python -m modelyard.serving` that is ready."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        self.url = next(str(event["url"]) for event in self.events("ready"))
        self.client = httpx.Client(base_url=self.url, timeout=30)

    @property
    def address(self) -> str:
        return self.url.removeprefix("http://")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one kind so far."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def wait_for(self, met: Callable[[], bool], seconds: float = 20) -> None:
        """Until a condition holds; the log is the message when it never does."""
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def running(releases: Path, log: Path, *arguments: str) -> Iterator[Server]:
    """A server that is ended with its block."""
    command = [
        sys.executable,
        "-m",
        "modelyard.serving",
        "--releases",
        str(releases),
        "--port",
        "0",
        *arguments,
    ]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stream, text=True, env={**os.environ}
        )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), log.read_text()
            server = Server(process, log)
            with server.client:
                yield server
        finally:
            process.kill() if process.poll() is None else None


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers: serve(releases, *options)."""
    with ExitStack() as stack:
        count = 0

        def start(releases: Path, *arguments: str) -> Server:
            nonlocal count
            count += 1
            return stack.enter_context(running(releases, tmp_path / f"server-{count}.log", *arguments))

        yield start


@pytest.fixture(scope="session")
def linear() -> Linear:
    return Linear.seeded(1)


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory, linear: Linear) -> Path:
    """`fruit` with two versions and three aliases, and `quirky`."""
    folder = tmp_path_factory.mktemp("releases")
    release(folder, 1, linear, "champion", "cnn")
    release(folder, 2, Linear.seeded(2), "rnn", architecture="rnn")
    release(folder, 1, linear, "champion", model="quirky", graph=linear.graph(quirks()))
    return folder


@pytest.fixture(scope="session")
def server(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only ask."""
    with running(
        releases, tmp_path_factory.mktemp("server") / "log", "--workers", "1", "--max-body-bytes", "100000"
    ) as ready:
        yield ready


@pytest.fixture
def client(server: Server) -> httpx.Client:
    return server.client


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`letters` takes strings, `letters-transformer` bytes, `letters-bert` subwords."""
    folder = tmp_path_factory.mktemp("texts")
    release_texts(folder / "releases", 1, Counts(), "champion")
    release_texts(folder / "releases", 2, Counts(), "transformer", encoding="bytes")
    release_texts(folder / "releases", 3, Counts(), "bert", encoding="ids")
    with running(folder / "releases", folder / "log", "--workers", "1", "--grpc-port", "0") as server:
        yield server


@pytest.fixture
def asked(texts: Server) -> httpx.Client:
    """Of models of texts."""
    return texts.client
