"""Which hosts this server answers for. A page can have its own name resolve to this machine (DNS rebinding), so names count
only when they are known; an address cannot be rebound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from ipaddress import ip_address

from modelyard.errors import RequestError

HOST_NAME = re.compile(r"[\w.-]{1,253}", re.ASCII)
HOST = re.compile(rf"(\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]|{HOST_NAME.pattern})(?::\d{{0,5}})?", re.ASCII)


def is_address(name: str) -> bool:
    """Whether this is an IP address, of version 6 also in brackets."""
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Whether only this machine can be meant; nobody can register a name below `localhost` (RFC 6761)."""
    if is_address(name):
        return ip_address(name.strip("[]")).is_loopback
    return f".{name}".endswith(".localhost")


class Hosts:
    """The loopback names, every address, and the names given."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {_plain(name) for name in names}

    def check(self, host: bytes) -> None:
        """Raises: RequestError, 400 for what is no host and 421 for one that this server does not answer for."""
        found = HOST.fullmatch(host.decode("latin-1"))
        if found is None:
            raise RequestError("header Host: expected one name or address, and perhaps a port")
        name = _plain(found[1])
        if not (name in self._names or is_address(name) or is_loopback(name)):
            told = f"this server does not answer for the host {name}; if it should, start it with --allowed-host {name}"
            raise RequestError(told, HTTPStatus.MISDIRECTED_REQUEST)


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")
