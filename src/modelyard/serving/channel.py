"""Messages between the supervisor and a worker: small JSON lists, and client connections handed over."""

from __future__ import annotations

import array
import errno
import json
import os
import socket
from typing import NamedTuple

MAX_TEXT = 1000
"""Characters of one part of a message; JSON makes up to twelve bytes of each."""
_CONNECTION = b"c"
_MAX_BYTES = 64 * 1024
Message = list[str]


class UnreadableMessage(OSError):
    """What came is no message: the other side is ill."""


class Handed(NamedTuple):
    """A client's connection as it arrives."""

    place: int
    """To be left when the connection ends."""
    connection: socket.socket | None
    """None: this process had no descriptor left for it."""


class Channel:
    """One end of a pair; each message stays whole (SOCK_SEQPACKET) and nobody waits."""

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
        """Parts that are too long are shortened. Raises: OSError when the other side is gone or reads nothing, or for too many."""
        data = json.dumps([part if len(part) <= MAX_TEXT else f"{part[:MAX_TEXT]} ..." for part in message]).encode()
        if len(data) > _MAX_BYTES:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        self._end.send(data)

    def hand_over(self, connection: socket.socket, place: int) -> None:
        """Give a client's connection to the other side. Raises: OSError."""
        socket.send_fds(self._end, [_CONNECTION, b"%d" % place], [connection.fileno()])

    def receive(self) -> Message | Handed | None:
        """A message or a connection; None when the other side is gone.

        Raises: BlockingIOError when nothing is there, UnreadableMessage.
        """
        data, extra, flags, _ = self._end.recvmsg(_MAX_BYTES, socket.CMSG_SPACE(array.array("i").itemsize))
        descriptors = array.array("i", b"".join(content for _, _, content in extra))
        if data.startswith(_CONNECTION) and data[1:].isdigit() and len(descriptors) <= 1:
            return Handed(int(data[1:]), socket.socket(fileno=descriptors[0]) if descriptors else None)
        for descriptor in descriptors:
            os.close(descriptor)
        return _read(data, is_whole=not flags & socket.MSG_TRUNC) if data else None


def _read(data: bytes, *, is_whole: bool) -> Message:
    """Raises: UnreadableMessage."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        message = None
    if not is_whole or not isinstance(message, list) or not all(isinstance(part, str) for part in message):
        raise UnreadableMessage(f"expected a list of texts, received {data[:100]!r}")
    return message
