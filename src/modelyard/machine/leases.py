"""Claims of processes on step folders, which housekeeping respects; a killed process's claim ends with it."""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from filelock import FileLock

from modelyard.files import make_folder
from modelyard.home import Home

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Lease:
    """The claim of one process on step folders; on everything until it is narrowed."""

    home: Home
    stream: TextIOWrapper

    def narrow(self, names: Iterable[str]) -> None:
        """From now on only these folders of `steps/`."""
        with leases_settled(self.home):
            self._write(sorted(names))

    def _write(self, names: list[str]) -> None:
        self.stream.seek(0)
        self.stream.truncate()
        json.dump(names, self.stream)
        self.stream.flush()


def leases_settled(home: Home) -> FileLock:
    """Held, no lease begins or changes; housekeeping decides and moves things aside under it."""
    return FileLock(make_folder(home.locks) / "housekeeping.lock")


@contextmanager
def in_use(home: Home, names: Iterable[str] = (EVERYTHING,)) -> Iterator[Lease]:
    """Nothing of these step folders is removed meanwhile; waits for a housekeeping that is choosing."""
    path = make_folder(home.locks / "leases") / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
    with leases_settled(home):
        lease = Lease(home, path.open("w+"))
        fcntl.flock(lease.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lease._write(sorted(names))
    try:
        yield lease
    finally:
        path.unlink(missing_ok=True)
        lease.stream.close()


def names_in_use(home: Home) -> set[str]:
    """What all living leases name; those of dead processes are cleared. Call it under `leases_settled`."""
    return {name for path in (home.locks / "leases").glob("*.json") for name in _read(path)}


def _read(path: Path) -> list[str]:
    try:
        with path.open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                names: list[str] = json.load(stream)
                return names
    except FileNotFoundError:
        return []
    path.unlink(missing_ok=True)
    return []
