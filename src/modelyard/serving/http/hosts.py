"""Which values of the header Host this server answers.

The owner of a web page can make a name resolve to this machine (DNS rebinding), so only known names are
accepted; every address is, since an address cannot be rebound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from ipaddress import ip_address

from modelyard.errors import ConfigError, RequestError, quoted

MAX_ACCEPTED = 64
HOST_NAME = re.compile(r"[\w.-]{1,253}", re.ASCII)
HOST = re.compile(rf"(\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]|{HOST_NAME.pattern})(?::(\d{{0,5}}))?", re.ASCII)


def is_loopback(name: str) -> bool | None:
    """Whether the host is this machine for certain; None for a name of which that is unknown. Nobody can
    register names below `localhost` (RFC 6761).
    """
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return True if f".{name}".endswith(".localhost") else None


def plain_name(name: str) -> str:
    """A host in canonical form: lower case, without final dot or brackets, IPv6 in its short form."""
    try:
        return str(ip_address(name.strip("[]")))
    except ValueError:
        return name.lower().removesuffix(".")


def check_names(names: Iterable[str]) -> None:
    """Raises: ConfigError for a name that `--allowed-host` does not take."""
    if wrong := [name for name in names if name.startswith("-") or not HOST_NAME.fullmatch(name)]:
        raise ConfigError(f"--allowed-host {quoted(wrong[0])}: expected a name without scheme and port")


class Hosts:
    """The loopback names, every address, and the names that were given."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {plain_name(name) for name in names}
        self._accepted: set[bytes] = set()

    def check(self, host: bytes) -> None:
        """Raises: RequestError, 400 for a malformed host and 421 for one that this server does not answer
        for.
        """
        if host in self._accepted:
            return
        found = HOST.fullmatch(host.decode("latin-1"))
        if found is None:
            raise RequestError("header Host: expected one name or address, and perhaps a port")
        name = plain_name(found[1])
        if is_loopback(name) is None and name not in self._names:
            told = (
                f"this server does not answer for the host {name}; if it should, start it with "
                f"--allowed-host {name}"
            )
            raise RequestError(told, HTTPStatus.MISDIRECTED_REQUEST)
        if len(self._accepted) < MAX_ACCEPTED:
            self._accepted.add(host)
