"""The append-only record of alias moves: JSON lines in a hash chain, so that what was altered shows.

Each entry has the hash of the one before it (`prev`) and its own (`hash`: sha256 of its canonical JSON without that key).
Lines from before the chain have neither; the first entry of the chain seals them by their digest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard.errors import StoreError
from modelyard.files import make_folder, open_as_folder, write_atomically, write_json
from modelyard.progress import current_progress

LEDGER_FILE, HEAD_FILE = "ledger.jsonl", "ledger.head"
ZEROS = "0" * 64
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ended when it was last seen whole: kept elsewhere, so that a cut shows."""

    entries: int
    hash: str

    def __str__(self) -> str:
        return f"{self.entries}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Raises: ValueError."""
        entries, separator, digest = text.strip().partition(":")
        if not separator or len(digest) != len(ZEROS):
            raise ValueError(f"{text[:40]!r} is no head of a ledger")
        return cls(int(entries), digest)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger as it lies on disk."""

    lines: tuple[bytes, ...]
    torn: bytes = b""
    """The beginning of an entry whose writer was killed or met a full disk."""

    @property
    def entries(self) -> list[Entry]:
        """What can be read, oldest first."""
        parsed = (_parse(line) for line in self.lines)
        return [entry for entry in parsed if entry is not None]

    @property
    def unchained(self) -> int:
        """How many lines at the beginning were written before there was a chain."""
        entries = [_parse(line) for line in self.lines]
        return next((at for at, entry in enumerate(entries) if entry is None or "hash" in entry), len(entries))

    @property
    def head(self) -> Head:
        """The end of the chain."""
        last = _parse(self.lines[-1]) if self.lines else None
        return Head(len(self.lines), str((last or {}).get("hash", ZEROS)))


def read(folder: Path) -> Ledger:
    """The ledger of a model's release folder; empty when there is none."""
    with suppress(FileNotFoundError):
        *lines, rest = (folder / LEDGER_FILE).read_bytes().split(b"\n")
        if rest and (entry := _parse(rest)) is not None and entry.get("hash", "") in {"", entry_hash(entry)}:
            return Ledger((*lines, rest))  # whole but for the end of its line
        return Ledger(tuple(lines), rest)
    return Ledger(())


def entry_hash(entry: Entry) -> str:
    """sha256 of the entry's canonical JSON (sorted keys, no spaces, ASCII) without its own hash."""
    told = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def problems(ledger: Ledger, heads: dict[str, Head]) -> list[str]:
    """What was altered, each naming its line; `heads` are the ends that others remember, by their names."""
    found: list[str] = []
    unchained, prev = ledger.unchained, ZEROS
    for number, line in enumerate(ledger.lines[unchained:], unchained + 1):
        entry = _parse(line)
        if entry is None or "hash" not in entry:
            found.append(f"line {number} {'cannot be read' if entry is None else 'has no hash'}: it was edited")
            continue
        if entry["hash"] != entry_hash(entry):
            found.append(f"line {number} was edited: its content does not have its hash")
        if entry.get("prev") != prev:
            found.append(f"line {number} does not follow the line before it: one was removed, inserted or moved")
        if number == unchained + 1 and unchained and entry.get("before_chain") != _digest(ledger.lines[:unchained]):
            found.append(f"lines 1 to {unchained}, from before the chain, were edited")
        prev = str(entry["hash"])
    return found + [problem for name, head in heads.items() if (problem := _cut_off(ledger, name, head))]


def _cut_off(ledger: Ledger, name: str, head: Head) -> str | None:
    if len(ledger.lines) < head.entries:
        return f"the end was cut off after line {len(ledger.lines)}: {name} knows {head.entries} lines"
    entry = _parse(ledger.lines[head.entries - 1]) if head.entries else {}
    known = str((entry or {}).get("hash", ZEROS))
    return None if known == head.hash else f"line {head.entries} is not the one that {name} knows: the end was written anew"


def read_head(folder: Path) -> dict[str, Head]:
    """The end that the file beside the ledger remembers. Raises: StoreError when it cannot be read."""
    try:
        value = json.loads((folder / HEAD_FILE).read_text())
        return {HEAD_FILE: Head(int(value["entries"]), str(value["hash"]))}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / HEAD_FILE} cannot be read ({error}); it was edited, put its copy back") from error


def write_head(folder: Path, head: Head) -> None:
    """Remember the end of the chain beside it."""
    if head not in read_head(folder).values():
        write_json(folder / HEAD_FILE, {"entries": head.entries, "hash": head.hash})


def demand_whole(folder: Path, heads: dict[str, Head]) -> Ledger:
    """The ledger, if nothing in it was altered. Raises: StoreError with the first that was."""
    ledger = read(folder)
    if found := problems(ledger, heads):
        raise StoreError(
            f"{folder / LEDGER_FILE}: {found[0]}; see modelyard models history {folder.name} --verify, then put a copy back"
        )
    return ledger


def append(folder: Path, moves: Sequence[Entry]) -> int:
    """Chain and write entries, all or none; gives the size before, for `cut_back`. The caller holds the lock."""
    path, ledger = make_folder(folder) / LEDGER_FILE, _repaired(folder)
    size = path.stat().st_size if path.exists() else 0
    prev, seals = ledger.head.hash, {}
    if prev == ZEROS and ledger.lines:
        seals = {"before_chain": _digest(ledger.lines)}
    text = b""
    for move in moves:
        entry = move | seals | {"prev": prev}
        prev, seals = entry_hash(entry), {}
        text += json.dumps(entry | {"hash": prev}, allow_nan=False).encode() + b"\n"
    try:
        with path.open("ab") as stream:
            open_as_folder(path)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        cut_back(folder, size)
        raise StoreError(f"cannot write {path}: {error.strerror}; nothing was moved; free space and try again") from error
    return size


def cut_back(folder: Path, size: int) -> None:
    """Take back entries that nobody was told of."""
    with suppress(OSError):
        os.truncate(folder / LEDGER_FILE, size)


def _repaired(folder: Path) -> Ledger:
    """The ledger with a torn last line moved aside and a missing end of line added."""
    ledger, path = read(folder), folder / LEDGER_FILE
    if ledger.torn:
        aside = folder / f"ledger.torn-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        write_atomically(aside, ledger.torn)
        os.truncate(path, path.stat().st_size - len(ledger.torn))
        current_progress.get().say(
            f"NOTE: the last line of {path} was torn ({len(ledger.torn)} bytes, moved to {aside.name}); no whole entry was lost"
        )
    elif ledger.lines and not path.read_bytes().endswith(b"\n"):
        with path.open("ab") as stream:
            stream.write(b"\n")
    return Ledger(ledger.lines)


def _parse(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _digest(lines: Sequence[bytes]) -> str:
    return hashlib.sha256(b"\n".join(lines)).hexdigest()
