"""Identities of processes: host, boot and process namespace, id and start, as an id is reused and counts only
in its own container.
"""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from modelyard.errors import StoreError
from modelyard.files import is_held, lock_folder, make_folder, open_as_folder
from modelyard.home import Home

PREFIX = "process:"
PARENT_VARIABLE = "MODELYARD_PARENT"
"""In a training's environment: the identity of the process that it works for."""
MACHINE, BOOT, NAMESPACE = (
    Path("/etc/machine-id"),
    Path("/proc/sys/kernel/random/boot_id"),
    Path("/proc/self/ns/pid"),
)


def identity(pid: int) -> str:
    """`process:host:machine:boot:namespace/pid/start`, the same as long as it lives. Raises:
    psutil.NoSuchProcess.
    """
    return f"{PREFIX}{':'.join(_here())}/{pid}/{_start(psutil.Process(pid))}"


def own_identity(home: Home) -> str:
    """This process's, for others to read in the store."""
    hold_place(home)
    return identity(os.getpid())


@cache
def hold_place(home: Home) -> int | None:
    """A lock for as long as this process lives: in other containers it says that here, where its id counts,
    something does.
    """
    with suppress(OSError, StoreError):
        file = make_folder(home.locks / "places") / "-".join(_here()[2:])
        file.touch()
        open_as_folder(file)
        return lock_folder(file, shared=True)
    return None


def lives_here(name: str) -> bool:
    """Whether `name` is the identity of a living process whose id counts for this one, too."""
    return _counts_here(_place(name)) and _lives(name)


def is_gone(name: str, home: Home) -> bool:
    """Whether it is certain that the process is no more: one of another container or machine may live,
    whatever its id.

    Not after a reboot, or where nothing of its container holds a lock in the store; of another machine nobody
    can say.
    """
    place, here = _place(name), _here()
    if _counts_here(place):
        return not _lives(name)
    with suppress(OSError):
        file = home.locks / "places" / "-".join(place[2:])
        return (
            len(place) == len(here)
            and not is_held(file)
            and (file.exists() if place[2] == here[2] else place[:2] == here[:2])
        )
    return False


def _here() -> list[str]:
    """Host, machine, boot, process namespace; the host for what the system does not tell."""
    host, namespace = platform.node(), ""
    with suppress(OSError):
        namespace = str(NAMESPACE.stat().st_ino)
    return [host, _digest(MACHINE, host), _digest(BOOT, host), namespace]


def _digest(file: Path, otherwise: str) -> str:
    """As machine-id(5) wants it: the id itself is told to nobody."""
    with suppress(OSError):
        otherwise = file.read_text().strip() or otherwise
    return hashlib.sha256(otherwise.encode()).hexdigest()[:12]


def _place(name: str) -> list[str]:
    """As `_here`; of an earlier version the host alone."""
    return name.removeprefix(PREFIX).partition("/")[0].split(":") if name.startswith(PREFIX) else []


def _counts_here(place: list[str]) -> bool:
    here = _here()
    return place == here[:1] or place[2:] == here[2:]


def _lives(name: str) -> bool:
    _, pid, start = f"{name}//".split("/")[:3]
    try:
        process = psutil.Process(int(pid))
        found = f"{process.create_time():.2f}" if "." in start else _start(process)
        return found == start and bool(process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, ValueError):
        return False


def _start(process: psutil.Process) -> str:
    """In ticks since the boot, where the system tells them: the time of day can be set."""
    with suppress(OSError):
        return Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    return f"{process.create_time():.2f}"
