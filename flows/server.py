"""`python -m flows.server FD LOCK`: Prefect's server for one run, on a socket that is open already.

Prefect's own ephemeral server outlives a `kill -9` of its run and keeps that run's output open; this one ends with it.
"""

from __future__ import annotations

import socket
import sys
import threading
from typing import Any

import uvicorn
from filelock import FileLock
from prefect.server.api.server import create_app

from flows.ephemeral import GO
from modelyard.leaving import leave


class _Server(uvicorn.Server):
    """Two servers that migrate one empty database trip over each other: they start one by one."""

    def __init__(self, config: uvicorn.Config, lock: FileLock) -> None:
        super().__init__(config)
        self._lock = lock

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        with self._lock:
            await super().startup(sockets)

    def end_with_parent(self) -> None:
        """The parent holds the other end of stdin: however it dies, the kernel closes it."""
        sys.stdin.buffer.read()
        self.should_exit = True


def main(descriptor: str, lock: str) -> None:
    """Once told to go, serve until the parent is gone; a parent that was asked something wrong never says so."""
    app: Any = create_app(ephemeral=True, final=True)
    server = _Server(uvicorn.Config(app, log_level="error", lifespan="on"), FileLock(lock))
    if sys.stdin.buffer.readline() == GO:
        threading.Thread(target=server.end_with_parent, daemon=True).start()
        server.run(sockets=[socket.socket(fileno=int(descriptor))])
    leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
