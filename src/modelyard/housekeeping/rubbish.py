"""What of a store may go: by kind, by age, and never what is needed."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from modelyard.errors import ConfigError, StoreError
from modelyard.files import is_held, make_folder
from modelyard.home import Home, cache_folder
from modelyard.housekeeping.needs import Needs, find_needs
from modelyard.housekeeping.sizes import size_of
from modelyard.machine.leases import leases_settled
from modelyard.sources.named import variants

SCRATCH_SECONDS = 86_400.0
"""How old a scratch folder has to be: its writer is gone by then, or touched it meanwhile."""
STEP = re.compile(r"([a-z]+)-[^.]+")
"""The folder of a step: its name and its key."""
TRASH = "trash"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Policy:
    """What may go."""

    seconds: float = 30 * 86_400.0
    """How old it has to be."""
    moves: int = 10
    """Releases that this many last moves of their ledger name stay."""


@dataclass(frozen=True, slots=True)
class Rubbish:
    """One thing that may go."""

    kind: str
    path: Path
    bytes: int


def parse_age(text: str) -> float:
    """Seconds in `30d`, `12h` and the like. Raises: ConfigError."""
    if not (match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())):
        raise ConfigError(f"age {text!r}: expected a number and a unit (s, m, h, d, w) such as 30d or 12h")
    return float(match[1]) * UNITS[match[2]]


def find_rubbish(home: Home, policy: Policy) -> list[Rubbish]:
    """All that may go; nothing is removed. Raises: StoreError."""
    with leases_settled(home):
        return _find(home, policy)


def remove_rubbish(home: Home, policy: Policy) -> list[Rubbish]:
    """Remove all that may go, and what an interrupted removal left; gives what was removed.

    It is chosen and moved aside while no run can begin to use it, and deleted after that. Raises: StoreError.
    """
    try:
        with FileLock(make_folder(home.locks) / "gc.lock", timeout=0):
            with leases_settled(home):
                found = _find(home, policy)
                for item in found:
                    if item.kind != TRASH:
                        _move_aside(home, item.path)
            for path in _trash(home):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            return found
    except Timeout as error:
        raise StoreError(f"another modelyard gc works on {home.root}; try again when it has ended") from error


def compact_database(home: Home) -> int:
    """Give back what rows that are gone took in MLflow's database; gives bytes, 0 where another program
    writes to it.
    """
    before = size_of(home.database)
    with suppress(sqlite3.OperationalError), closing(_connect(home)) as connection:
        if connection.execute("PRAGMA freelist_count").fetchone()[0]:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return max(0, before - size_of(home.database))


def _connect(home: Home) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{home.database}?mode=rw", uri=True, timeout=0)


def _move_aside(home: Home, path: Path) -> None:
    try:
        inside = home.root if path.is_relative_to(home.root) else cache_folder()  # one file system each
        path.rename(make_folder(inside / TRASH) / f"{uuid.uuid4().hex[:8]}-{path.name}")
    except OSError as error:
        raise StoreError(f"cannot move {path} aside: {error.strerror}; make the store writable") from error


def _find(home: Home, policy: Policy) -> list[Rubbish]:
    needs, before = find_needs(home, policy.moves), time.time() - policy.seconds
    found = [Rubbish(TRASH, path, size_of(path)) for path in _trash(home)]
    found += [Rubbish("log", path, size_of(path)) for path in _logs(home) if _modified(path) < before]
    if needs.everything:
        return found
    chosen = [
        *_steps(home, needs, before),
        *_checkpoints(home, needs, before),
        *_releases(home, needs, before),
        *(("cached data", path) for path in variants() if _modified(path) < before),
    ]
    return found + [Rubbish(kind, path, size_of(path)) for kind, path in [*chosen, *_scratch(home, needs)]]


def _trash(home: Home) -> list[Path]:
    return [*_below(home.root / TRASH), *_below(cache_folder() / TRASH)]


def _below(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _steps(home: Home, needs: Needs, before: float) -> Iterator[tuple[str, Path]]:
    for path in _below(home.steps):
        name = STEP.fullmatch(path.name)
        if name and path.name not in needs.steps and _modified(path) < before:
            yield f"step {name[1]}", path


def _checkpoints(home: Home, needs: Needs, before: float) -> Iterator[tuple[str, Path]]:
    """Of a finished training at once: its weights are in its step."""
    for path in sorted(home.checkpoints.glob("[!.]*.safetensors")):
        step = path.stem
        if step not in needs.steps and (_modified(path) < before or (home.steps / step).exists()):
            yield "checkpoint", path


def _releases(home: Home, needs: Needs, before: float) -> Iterator[tuple[str, Path]]:
    for path in sorted(home.releases.glob("*/*/")):
        if path.name.isdecimal():
            release = path.parent.name, int(path.name)
            if release in needs.known - needs.releases and _modified(path) < before and not is_held(path):
                yield "release", path


def _scratch(home: Home, needs: Needs) -> Iterator[tuple[str, Path]]:
    """What writers that were killed left half done."""
    for path in (*home.steps.glob(".*"), *home.checkpoints.glob(".*"), *home.releases.glob("*/.*")):
        target = path.name[1:].partition(".")[0]
        if target not in needs.steps and _newest(path) < time.time() - SCRATCH_SECONDS:
            yield "scratch", path


def _logs(home: Home) -> Iterator[Path]:
    """Logs of commands that have ended, and the older parts of rotated ones; never the alerts."""
    for path in sorted(home.logs.glob("run-*.log")):
        pid = path.stem.rpartition("-")[2]
        if not (pid.isdecimal() and psutil.pid_exists(int(pid))) and not is_held(path):
            yield path
    yield from sorted(home.logs.glob("*.log.[0-9]*"))


def _modified(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return time.time()


def _newest(path: Path) -> float:
    return max(_modified(part) for part in (path, *(path.rglob("*") if path.is_dir() else ())))
