"""What a proxy tells of the client behind it. Only those that are named are believed: anybody can write a header."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from modelyard.serving.hosts import HOST
from modelyard.serving.options import Network

FORWARDED_FOR = b"x-forwarded-for"
TOLD = frozenset({FORWARDED_FOR, b"x-forwarded-proto"})
MAX_HOPS = 32


def read_address(text: str) -> IPv4Address | IPv6Address:
    """Without zone; an IPv4 address that is written as an IPv6 one is that. Raises: ValueError."""
    given = ip_address(text.partition("%")[0])
    return getattr(given, "ipv4_mapped", None) or given


class Proxies:
    """The networks from which proxies ask; whoever may open the server's own socket file is one, too."""

    def __init__(self, trusted: tuple[Network, ...], *, is_file: bool) -> None:
        self._trusted = trusted
        self._is_file = is_file

    def trusts(self, address: str) -> bool:
        """Whether a connection's other end is a proxy; the address of a socket file's is empty."""
        if not address:
            return self._is_file
        return any(read_address(address) in network for network in self._trusted)

    def client(self, address: str, headers: Mapping[bytes, bytes]) -> str:
        """Who asked: the last address in X-Forwarded-For that is no proxy's; what stands left of it may be invented."""
        told = headers.get(FORWARDED_FOR)  # of others it was thrown away
        for hop in reversed(told.decode("latin-1").split(",")[-MAX_HOPS:] if told else []):
            found = HOST.fullmatch(hop.strip())
            try:
                address = str(read_address(found[1].strip("[]") if found else hop.strip()))
            except ValueError:
                break
            if not self.trusts(address):
                break
        return address
