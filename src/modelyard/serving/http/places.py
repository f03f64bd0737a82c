"""Which connections are open: a table in memory that the supervisor and the workers share."""

from __future__ import annotations

import mmap
import resource
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import compress

from modelyard.errors import ConfigError
from modelyard.serving.http.hosts import HOST
from modelyard.serving.options import Network

MAX_HOPS = 32
OWN_DESCRIPTORS = 32
"""The least number of descriptors kept for other things than connections; a quarter of the limit, if that is
more.
"""


class Places:
    """A byte for each connection that each worker may hold, 1 while it is open.

    The supervisor sets it when it hands a connection over, the worker clears it when the connection ends, and
    those of a dead worker are cleared. There is no counter that could become wrong.
    """

    def __init__(self, workers: int, limit: int) -> None:
        self.limit = limit
        """The most open connections of all workers together."""
        self._memory = mmap.mmap(-1, workers * limit)
        self._peers = [""] * (workers * limit)
        """The peer of each connection; only the supervisor knows it."""

    def taken(self, worker: int) -> int:
        """How many connections a worker has open."""
        return self._memory[worker * self.limit : (worker + 1) * self.limit].count(1)

    def all_taken(self) -> int:
        return self._memory[:].count(1)

    def may_take(self, peer: str, taken: int) -> bool:
        """Whether another connection fits when so many are open: one peer may hold at most half of the
        places.
        """
        share = max(1, self.limit // 2)
        if not peer or taken < share:
            return taken < self.limit
        return taken < self.limit and list(compress(self._peers, self._memory[:])).count(peer) < share

    def take(self, worker: int, peer: str) -> int:
        """Take a free place of a worker."""
        place = self._memory.find(b"\0", worker * self.limit, (worker + 1) * self.limit)
        self._memory[place] = 1
        self._peers[place] = peer
        return place

    def leave(self, place: int) -> None:
        self._memory[place] = 0

    def clear(self, worker: int) -> None:
        """Free all places of a dead worker."""
        self._memory[worker * self.limit : (worker + 1) * self.limit] = bytes(self.limit)


@dataclass(frozen=True, slots=True)
class Shared:
    """The memory that supervisor and workers share."""

    counters: mmap.mmap
    places: Places


@lru_cache(1024)
def peer_of(address: str, trusted: tuple[Network, ...]) -> str:
    """The peer that a connection is counted for: an IPv4 address or an IPv6 network of /64; empty for this
    machine and for trusted proxies.
    """
    given = _read(address)
    if given.is_loopback or is_trusted(address, trusted):
        return ""
    return str(given) if given.version == 4 else str(ip_network((given, 64), strict=False))


@lru_cache(1024)
def is_trusted(address: str, trusted: tuple[Network, ...]) -> bool:
    """Whether the address is that of a trusted proxy."""
    return bool(address) and any(_read(address) in network for network in trusted)


def client_of(address: str, forwarded_for: bytes, trusted: tuple[Network, ...]) -> str:
    """The address of the client: behind trusted proxies the last entry of X-Forwarded-For that is not one of
    them; entries before it may be forged.
    """
    for hop in reversed(forwarded_for.decode("latin-1").split(",")[-MAX_HOPS:]):
        if not is_trusted(address, trusted):
            break
        found = HOST.fullmatch(hop.strip())  # some write a port
        try:
            address = str(_read(found[1].strip("[]") if found else hop.strip()))
        except ValueError:
            break
    return address


def _read(address: str) -> IPv4Address | IPv6Address:
    """The address without zone; an IPv4 address in IPv6 form as IPv4. Raises: ValueError."""
    given = ip_address(address.partition("%")[0])
    return getattr(given, "ipv4_mapped", None) or given


def affordable_connections(wanted: int) -> int:
    """How many of the wanted connections a worker has file descriptors for, after the soft limit was raised
    to the hard one.

    Raises: ConfigError when there is none.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    if soft == resource.RLIM_INFINITY:
        return wanted
    affordable = min(wanted, soft - max(OWN_DESCRIPTORS, soft // 4))
    if affordable < 1:
        raise ConfigError(
            f"expected more than {OWN_DESCRIPTORS} file descriptors, received {soft}; raise ulimit -n"
        )
    return affordable
