"""One running server: pinned to cores, watched with all its children, ended with them."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.peers.servers import HERE, ROOT, Server, Start

START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answered on its ready path."""

    port: int
    process: psutil.Process
    ready_seconds: float
    """From the start of the process to the first 200."""

    def family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        total = 0.0
        for one in self.family():
            with suppress(psutil.Error):
                times = one.cpu_times()
                total += times.user + times.system
        return total

    def memory_mb(self) -> tuple[float, float]:
        """Sums over all its processes of the resident (RSS) and the proportional (PSS) set, in MB."""
        memory = [one.memory_full_info() for one in self.family() if one.status() != psutil.STATUS_ZOMBIE]
        return sum(one.rss for one in memory) / 1e6, sum(one.pss for one in memory) / 1e6


@contextmanager
def running(server: Server, start: Start, cores: str) -> Iterator[Running]:
    """Start `server` on `cores` (as taskset names them), wait until it is ready, and end its process group at
    last.
    """
    command = ["taskset", "-c", cores, *server.command(start)]
    paths = os.pathsep.join((str(HERE), str(ROOT / "src")))
    own = {
        "MODEL": str(start.model),
        "WORKERS": str(start.workers),
        "MODELYARD_HOME": str(start.home),
        "PYTHONPATH": paths,
        "BENTOML_HOME": str(start.scratch / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{start.python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    log = start.scratch / "server.log"
    with log.open("ab") as stream:
        began = time.perf_counter()
        child = subprocess.Popen(
            command,
            env=os.environ | own,
            cwd=start.scratch,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        _wait_until_ready(child, start.port, server.ready_path, log)
        yield Running(start.port, psutil.Process(child.pid), time.perf_counter() - began)
    finally:
        _end(child)


def free_port() -> int:
    """A port nobody listens on; the two after it are free as a rule."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(child: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        connection.close()
        time.sleep(0.01)
    raise SystemExit(f"not ready: {child.args!r}\n{log.read_text()[-2000:]}")


def _end(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=15)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
