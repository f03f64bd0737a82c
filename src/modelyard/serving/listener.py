"""Where clients come in: the supervisor accepts each connection and hands it to the worker with the fewest.

A listening socket that the workers share would not do: one of them takes most of the connections. One socket for each
(SO_REUSEPORT) spreads few connections by chance only, and those that wait at a killed worker's are lost.
"""

from __future__ import annotations

import mmap
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from modelyard.errors import ConfigError
from modelyard.serving import metrics
from modelyard.serving.channel import Channel
from modelyard.serving.options import ServeOptions

BACKLOG = 1024
ACCEPTS = 64
"""At one go, so that nothing else waits long."""
TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 33\r\n"
    b'retry-after: 1\r\nconnection: close\r\n\r\n{"error":"too many connections"}\n'
)


@dataclass(slots=True)
class Child:
    """A worker process as its parent sees it."""

    pid: int
    index: int
    channel: Channel
    started: float
    ready: bool = False
    handed: int = 0
    """Connections given to it."""


class Listener:
    """Owns the address from the start; takes connections once it is open."""

    def __init__(self, options: ServeOptions, memory: mmap.mmap) -> None:
        """Raises: ConfigError when the address cannot be had."""
        self._max_connections = options.max_connections
        self._memory = memory
        self._socket = _bind(options.host, options.port)

    @property
    def url(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def fileno(self) -> int:
        return self._socket.fileno()

    def open(self) -> None:
        self._socket.listen(BACKLOG)

    def close(self) -> None:
        self._socket.close()

    def accept(self, ready: list[Child]) -> bool:
        """Hand the connections that wait to these workers; whether more may be waiting."""
        if not ready:  # all are being started anew: let the connections wait in the kernel
            time.sleep(0.02)
            return False
        for _ in range(ACCEPTS):
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return False
            with connection:
                self._assign(connection, ready)
        return True

    def _assign(self, connection: socket.socket, ready: list[Child]) -> None:
        """To the worker with the fewest open connections; refused when all have too many."""
        by_load = sorted((self._open_connections(child), child.index, child) for child in ready)
        if sum(load for load, _, _ in by_load) < self._max_connections:
            for _, _, child in by_load:
                with suppress(OSError):
                    child.channel.hand_over(connection)
                    child.handed += 1
                    return
        with suppress(OSError):
            connection.setblocking(False)
            connection.send(TOO_MANY)

    def _open_connections(self, child: Child) -> int:
        return child.handed - metrics.closed_connections(self._memory, child.index)


def _bind(host: str, port: int) -> socket.socket:
    """A socket that owns the address and does not listen yet. Raises: ConfigError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.setblocking(False)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or --host") from error
    return listener
