"""Prefect's server behind our door: `python -m flows.server run FD LOCK` for one run, `python -m flows.server
up PORT NAME...`.

Prefect's own ephemeral server outlives a `kill -9` of its run and keeps that run's output open; this one ends
with it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn
from filelock import FileLock

from flows.door import Door
from flows.ephemeral import GO
from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.machine.bound import bind_to_parent
from modelyard.machine.databases import make_blank
from modelyard.machine.identity import identity
from modelyard.operations.parts import bind
from modelyard.operations.sign_in import SignIn, make_auth, restart_when_changed

DUMPS = Path(__file__).parent / "dumps"
"""Blank databases of Prefect."""


class _Server(uvicorn.Server):
    """Two servers that migrate one empty database trip over each other: they start one by one."""

    def __init__(self, app: Any, lock: str) -> None:
        super().__init__(uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=10))
        self._lock = FileLock(lock)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        with self._lock:
            make_blank(Home.current().prefect / "prefect.db", DUMPS, "prefect")
            await super().startup(sockets)


def _prefect(listener: socket.socket, *, ephemeral: bool) -> Any:
    """Prefect's application; its settings are read when it is imported."""
    port = listener.getsockname()[1]
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = f"http://127.0.0.1:{port},http://localhost:{port}"
    from prefect.server.api.server import create_app

    return create_app(ephemeral=ephemeral, final=True)


def serve_run(descriptor: str, lock: str) -> None:
    """Import, wait for the parent's word that it needs a server, then serve until SIGTERM, which also the
    parent's end brings: uvicorn finishes what it holds.
    """
    bind_to_parent(signal.SIGTERM)
    listener = socket.socket(fileno=int(descriptor))
    server = _Server(Door(_prefect(listener, ephemeral=True)), lock)
    if sys.stdin.buffer.readline() == GO:
        server.run(sockets=[listener])


def serve_up(port: str, *names: str) -> None:
    """Serve below the supervisor, with the pages, until the string that opens them is another."""
    home = Home.current()
    auth = os.environ["PREFECT_SERVER_API_AUTH_STRING"] = make_auth(home)
    listener = bind("prefect", int(port), socket.SO_REUSEADDR, socket.SO_REUSEPORT)
    door = Door(_prefect(listener, ephemeral=False), SignIn(auth, identity(os.getppid())), names)
    server = _Server(door, str(make_folder(home.locks) / "prefect.lock"))
    threading.Thread(target=restart_when_changed, args=(home, auth), daemon=True).start()
    server.run(sockets=[listener])


if __name__ == "__main__":
    serve_run(*sys.argv[2:]) if sys.argv[1] == "run" else serve_up(*sys.argv[2:])
