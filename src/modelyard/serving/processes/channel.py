"""Messages between the supervisor and a worker: small JSON lists, and client connections handed over."""

from __future__ import annotations

import json
import os
import socket
from typing import NamedTuple

from modelyard.terminal.printable import shortened

_CONNECTION = b"c"
_MAX_BYTES = 64 * 1024
"""The longest message: JSON takes up to 12 bytes for a character, and no message has more than five texts
besides file names.
"""
Message = list[str]


class Handed(NamedTuple):
    """A client's connection as a worker gets it."""

    place: int
    """The place in the table of connections, to be freed when the connection ends."""
    connection: socket.socket | None
    """None when this process had no file descriptor left for it."""


class Channel:
    """One end of a pair of sockets; each message stays whole (SOCK_SEQPACKET) and no call blocks."""

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
        """Send a message; a text that is too long is shortened. Raises: OSError when the other side is gone
        or does not read.
        """
        self._end.send(json.dumps([shortened(text) for text in message]).encode())

    def hand_over(self, connection: socket.socket, place: int) -> None:
        """Give a client's connection to the other side. Raises: OSError."""
        socket.send_fds(self._end, [_CONNECTION, b"%d" % place], [connection.fileno()])

    def receive(self) -> Message | Handed | None:
        """The next message; None when the other side is gone.

        Raises: BlockingIOError when there is none, ValueError or RecursionError for an invalid one.
        """
        data, descriptors, _, _ = socket.recv_fds(self._end, _MAX_BYTES, 1)
        if data.startswith(_CONNECTION) and data[1:].isdigit():
            return Handed(int(data[1:]), socket.socket(fileno=descriptors[0]) if descriptors else None)
        for descriptor in descriptors:
            os.close(descriptor)
        message: Message | None = json.loads(data) if data else None
        if message is not None and not (
            isinstance(message, list) and all(isinstance(text, str) for text in message)
        ):
            raise ValueError(f"expected a list of texts, received {data[:100]!r}")
        return message
