"""The identity of a store's folder: the same path on another disk, or a copy, is another store."""

from __future__ import annotations

import platform
import secrets
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from modelyard.config import Config
from modelyard.errors import AnotherStoreError
from modelyard.files import make_folder, read_regular, write_atomically
from modelyard.home import Home
from modelyard.machine.leases import Lease

FILE = "store-id"


class StoreMark(Config):
    """Travels with what is asked of another process."""

    id: str
    host: str
    """Who asks."""
    root: str = ""
    """Absolute. Empty: it may be mounted anywhere."""
    lease: str = ""
    """File name of the lease that whoever asks holds meanwhile, which no copy has. Empty: none is held."""

    def require(self) -> None:
        """Before anything is written. Raises: AnotherStoreError where this process's store is not the one;
        reads only.
        """
        home = Home.current()
        found, is_there = read_id(home), self.root in {"", str(home.root)}
        if (
            is_there
            and found == self.id
            and (not self.lease or (home.locks / "leases" / self.lease).exists())
        ):
            return
        kind = (
            "no store"
            if not found
            else "a copy of it"
            if is_there and found == self.id
            else f"the store {found}"
        )
        wanted, place = (f" at {self.root}", " at the same path") if self.root else ("", "")
        raise AnotherStoreError(
            f"expected the store {self.id}{wanted} of host {self.host}, found {kind} at "
            f"{home.root} on host {platform.node()}:"
            f" mount that very folder{place} and name it by MODELYARD_HOME, or let this host work "
            "by itself, on its own store"
        )


def make_mark(home: Home, lease: Lease | None = None) -> StoreMark:
    """With a lease for work at the same path while that is held. Raises: StoreError."""
    held = {"root": str(home.root), "lease": Path(lease.stream.name).name} if lease else {}
    return StoreMark(id=store_id(home), host=platform.node(), **held)


def store_id(home: Home) -> str:
    """A name of this store that no other has, made once. Raises: StoreError."""
    with FileLock(make_folder(home.locks) / "store-id.lock"):
        if not (made := read_id(home)):
            made = secrets.token_hex(6)
            write_atomically(home.state / FILE, made.encode())
    return made


def read_id(home: Home) -> str:
    """Empty where there is none."""
    with suppress(OSError, ValueError):
        text = read_regular(home.state / FILE, limit=100).decode()
        return text if text.isalnum() else ""
    return ""
