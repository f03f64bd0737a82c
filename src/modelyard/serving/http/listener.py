"""The listening socket: the supervisor accepts each connection and hands it to the worker with the fewest.

With one listening socket shared by the workers, one of them would take most connections. With a socket for
each (SO_REUSEPORT), connections are spread by chance, and those waiting at a worker that is killed are lost.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Collection
from contextlib import suppress
from http import HTTPStatus

from modelyard.errors import ConfigError
from modelyard.serving.http.headers import status_line
from modelyard.serving.http.places import Places, peer_of
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes.crew import Child
from modelyard.serving.processes.events import log_event
from modelyard.serving.processes.metrics import count_refusal
from modelyard.terminal.printable import printable

BACKLOG = 1024
ACCEPTS = 64
"""Connections accepted in a row, before other events are looked at."""
REST_S = 0.1
"""Seconds until the next try, after a connection could not be accepted."""
TOO_MANY = status_line(HTTPStatus.SERVICE_UNAVAILABLE) + (
    b"content-type: application/json\r\ncontent-length: 33\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
    b'{"error":"too many connections"}\n'
)


class Listener:
    """Binds the address at once, and accepts connections after `open`."""

    def __init__(self, options: ServeOptions, places: Places, counters: memoryview[int]) -> None:
        """Raises: ConfigError when the address is taken or not of this machine."""
        self._trusted = options.trusted_proxies
        self._places = places
        self._counters = counters
        self._socket = _bind(options.host, options.port, "--port")
        self._grpc = (
            None if options.grpc_port is None else _bind(options.host, options.grpc_port, "--grpc-port")
        )
        """Reserves the address of gRPC and never listens: the gRPC process listens there, and can be started
        again without losing the address.
        """
        self.rests_until = 0.0

    @property
    def url(self) -> str:
        return f"http://{_address(self._socket)}"

    @property
    def grpc_address(self) -> str:
        """Empty where there is none."""
        return _address(self._grpc) if self._grpc else ""

    def fileno(self) -> int:
        return self._socket.fileno()

    def open(self) -> None:
        """Listen. Raises: ConfigError when another process listens there by now."""
        try:
            self._socket.listen(BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"cannot listen at {self.url}: {error.strerror}; choose another --port or --host"
            ) from error

    def tell(self, names: list[str], workers: int, seconds: float) -> None:
        """Write the address to the log, and to whoever started the server."""
        url, grpc = self.url, self.grpc_address
        told = {"url": url, "grpc": grpc, "models": names, "workers": workers, "seconds": round(seconds, 3)}
        log_event("ready", told)
        with suppress(OSError, ValueError):  # nobody reads it, or it has letters that the terminal lacks
            served, also = printable(", ".join(names)), f", gRPC at {grpc}" if grpc else ""
            print(f"modelyard serves {served} at {url} ({workers} workers){also}; Ctrl-C stops", flush=True)  # noqa: T201

    def close(self) -> None:
        self._socket.close()

    def accept(self, takers: Collection[Child]) -> bool:
        """Accept waiting connections and hand them to these workers; gives whether more may wait."""
        loads = {child: self._places.taken(child.index) for child in takers}
        taken = self._places.all_taken()
        for _ in range(ACCEPTS):
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return False
            except OSError:  # descriptors or memory ran out
                self.rests_until = time.monotonic() + REST_S
                return False
            with connection:
                peer = peer_of(address[0], self._trusted)
                if self._places.may_take(peer, taken) and self._assign(connection, peer, loads):
                    taken += 1
                else:
                    _refuse(connection)
                    self._counters[5] += 1
                    count_refusal(self._counters, 503, "connections")
        return True

    def _assign(self, connection: socket.socket, peer: str, loads: dict[Child, int]) -> bool:
        """Hand over to the worker with the fewest open connections that takes it; False when none does."""
        for child in sorted(loads, key=lambda child: (loads[child], child.index)):
            place = self._places.take(child.index, peer)
            try:
                child.channel.hand_over(connection, place)
            except OSError:
                self._places.leave(place)
            else:
                loads[child] += 1
                return True
        return False


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _refuse(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setblocking(False)
        connection.send(TOO_MANY)
        connection.recv(65536)  # what came already and is not read would take the answer from the client


def _bind(host: str, port: int, option: str) -> socket.socket:
    """A socket that is bound to the address and does not listen yet. Raises: ConfigError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.setblocking(False)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another {option} or --host"
        ) from error
    return listener
