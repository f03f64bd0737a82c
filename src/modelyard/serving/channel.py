"""Messages between the supervisor and a worker: small JSON lists, and client connections handed over."""

from __future__ import annotations

import json
import socket

_CONNECTION = b"c"
_MAX_BYTES = 64 * 1024
Message = list[str]


class Channel:
    """One end of a pair; each message stays whole (SOCK_SEQPACKET)."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two connected ends."""
        first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(first), cls(second)

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()

    def send(self, *message: str) -> None:
        """Raises: OSError when the other side is gone or reads nothing any more."""
        self._end.send(json.dumps(message).encode()[:_MAX_BYTES])

    def hand_over(self, connection: socket.socket) -> None:
        """Give a client's connection to the other side. Raises: OSError."""
        socket.send_fds(self._end, [_CONNECTION], [connection.fileno()])

    def receive(self) -> Message | socket.socket | None:
        """A message or a connection; None when the other side is gone. Raises: BlockingIOError when nothing is there."""
        data, descriptors, _, _ = socket.recv_fds(self._end, _MAX_BYTES, 1)
        if descriptors:
            return socket.socket(fileno=descriptors[0])
        if not data:
            return None
        message: Message = json.loads(data)
        return message
