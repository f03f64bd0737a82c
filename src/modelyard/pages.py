"""The MLflow and Prefect pages as two child processes that end together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from modelyard.errors import StoreError
from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.tracking.runs import newest_group
from modelyard.tracking.store import open_store

START_SECONDS = 120.0


def serve_pages(home: Home, ports: tuple[int, int], say: Callable[[str], None], *, browser: bool) -> None:
    """Run MLflow and Prefect on `ports` until one of them ends or the user stops.

    Raises: StoreError when a port is taken or a server does not start.
    """
    _, experiment = open_store(home)
    mlflow_port, prefect_port = ports
    commands = {
        "mlflow": ["mlflow", "server", "--backend-store-uri", f"sqlite:///{home.database}", "--host", "127.0.0.1",
                   "--port", str(mlflow_port), "--workers", "1"],
        "prefect": ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(prefect_port)],
    }  # fmt: skip
    for name, port in zip(commands, ports, strict=True):
        _check_free(name, port)
    mlflow = f"http://127.0.0.1:{mlflow_port}/#"
    runs = ",".join(f'"{run}"' for run in newest_group(home))
    addresses = {
        "runs": f"{mlflow}/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART",
        "flows": f"http://127.0.0.1:{prefect_port}/runs",
    }
    if runs:
        addresses["last comparison"] = quote(
            f'{mlflow}/compare-runs?runs=[{runs}]&experiments=["{experiment}"]', safe=":/#?&=,"
        )
    logs = make_folder(home.logs)
    children = {name: _start(command, logs / f"{name}.log") for name, command in commands.items()}
    try:
        say("starting MLflow and Prefect ...")
        for (name, child), port in zip(children.items(), ports, strict=True):
            _wait_until_listening(child, port, logs / f"{name}.log")
        for title, address in addresses.items():
            say(f"{title:>16}: {address}")
            if browser and sys.stdout.isatty() and title != "last comparison":
                webbrowser.open(address)
        say(f"Ctrl-C stops both; logs are in {logs}")
        while all(child.poll() is None for child in children.values()):
            time.sleep(0.5)
        ended = next(name for name, child in children.items() if child.poll() is not None)
        raise StoreError(f"{ended} ended by itself; see {logs / ended}.log")
    except KeyboardInterrupt:
        say("stopped")
    finally:
        _stop(list(children.values()))


def _check_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise StoreError(f"port {port} is taken by another program; choose one with --{name}-port")


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as stream:
        return subprocess.Popen([sys.executable, "-m", *command], stdout=stream, stderr=stream, start_new_session=True)


def _wait_until_listening(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise StoreError(f"no server on port {port} after {START_SECONDS:.0f} s; see {log}")


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    """Ask every process group to end, then insist."""
    for child in children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
    for child in children:
        try:
            child.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
