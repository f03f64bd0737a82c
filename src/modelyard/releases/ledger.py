"""Reading a model's ledger: JSON lines in a hash chain, so that what was altered shows (`releases.chain`).
`releases.ledger_writer` writes it.

Each entry has the hash of the one before it (`prev`) and its own (`hash`: sha256 of its canonical JSON
without that key). Lines from before the chain have neither; the first entry of the chain seals them by their
digest. An entry is the registration of a version, with the digests of its files, or the move of an alias.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.bundle import MODEL_FILE
from modelyard.errors import StoreError
from modelyard.files import parse_json, read_regular

LEDGER_FILE, HEAD_FILE = "ledger.jsonl", "ledger.head"
LEDGER_BYTES, HEAD_BYTES = 256 * 2**20, 4096
"""Nothing larger is read; a move takes some kilobytes."""
ZEROS = "0" * 64
REGISTER = "register"
"""The action of a registration."""
DELETE, WITHDRAW, LOST, RENUMBER = "delete", "withdraw", "lost", "renumber"
"""Ends: of a version and of an alias by `modelyard models`; of either because MLflow has the version no
more; or, where the same file is registered under another number, that number's beginning."""
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
        if not separator or not entries.isdecimal() or len(digest) != len(ZEROS):
            raise ValueError(f"{text[:40]!r} is no head of a ledger")
        return cls(int(entries), digest)


@dataclass(frozen=True, slots=True)
class AliasMove:
    """An entry that moves an alias; texts are empty where an entry from before they were written has none."""

    alias: str
    before: int | None
    to: int | None
    """Version; None: the alias was taken away."""
    action: str = ""
    onnx_sha256: str = ""
    """Of the version moved to."""
    time: str = ""
    who: str = ""
    why: str = ""
    entry: Entry = field(default_factory=dict)
    """All of it, as it lies in the ledger."""

    @classmethod
    def read(cls, entry: Entry) -> AliasMove:
        words = {name: str(entry.get(name, "")) for name in ("action", "onnx_sha256", "time", "who", "why")}
        return cls(entry["alias"], entry["from"], entry["to"], **words, entry=entry)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger as it lies on disk."""

    lines: Sequence[bytes] = ()
    entries: Sequence[Entry | None] = ()
    """What each line holds; None where it cannot be read."""
    torn: bytes = b""
    """The beginning of an entry whose writer was killed or met a full disk."""

    @property
    def moves(self) -> list[AliasMove]:
        """The moves of aliases that can be read, oldest first."""
        return [AliasMove.read(entry) for entry in filter(None, self.entries) if _is_move(entry)]

    @property
    def registered(self) -> dict[int, dict[str, str]]:
        """Version -> file name -> sha256, as they were when the version was registered."""
        found: dict[int, dict[str, str]] = {}
        for entry in filter(None, self.entries):
            version, files = entry.get("version"), entry.get("files")
            if entry.get("action") == REGISTER and isinstance(version, int) and isinstance(files, dict):
                found.setdefault(version, files)
        return found

    def files_of(self, version: int) -> dict[str, str]:
        """File name -> sha256; of a version from before registrations only its ONNX file's, if an alias moved
        to it.
        """
        moved = [move.onnx_sha256 for move in self.moves if move.to == version and move.onnx_sha256]
        return self.registered.get(version, {MODEL_FILE: moved[-1]} if moved else {})

    @property
    def gone(self) -> set[Any]:
        """Versions that were deleted, here or in MLflow, as far as the ledger knows."""
        numbers: set[Any] = set()
        for entry in filter(None, self.entries):
            if entry.get("action") in {DELETE, LOST, RENUMBER}:
                numbers.add(entry.get("version", entry.get("from")))
                numbers.discard(entry.get("to"))  # it is there, again or by its new number
        return numbers

    def knows(self, version: int, digest: str) -> bool:
        """Whether this is the ONNX file that is known under the number; so is every file where
        none is known.
        """
        return self.files_of(version).get(MODEL_FILE, digest) == digest

    @property
    def unchained(self) -> int:
        """How many lines at the beginning were written before there was a chain."""
        return next(
            (at for at, entry in enumerate(self.entries) if entry is None or "hash" in entry),
            len(self.entries),
        )

    @property
    def head(self) -> Head:
        """The end of the chain."""
        return Head(len(self.lines), self.hash_at(len(self.lines)))

    def hash_at(self, line: int) -> str:
        """Where the chain stands after so many lines."""
        entry = self.entries[line - 1] if line else None
        return str((entry or {}).get("hash", ZEROS))


def read_ledger(folder: Path) -> Ledger:
    """The ledger of a model's release folder; empty when there is none. Raises: StoreError when it cannot be
    read.
    """
    path = folder / LEDGER_FILE
    try:
        *lines, rest = read_regular(path, LEDGER_BYTES).split(b"\n")
    except FileNotFoundError:
        return Ledger()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); put a copy back") from error
    last = _parse(rest)
    if last is not None and last.get("hash", "") in ("", entry_hash(last)):
        lines, rest = [*lines, rest], b""  # whole but for the end of its line
    return Ledger(lines, [_parse(line) for line in lines], rest)


def models_with_ledger(releases: Path) -> list[str]:
    """Names of the models that have one, in their order."""
    return sorted(path.parent.name for path in releases.glob(f"*/{LEDGER_FILE}"))


def read_head(folder: Path) -> dict[str, Head]:
    """The end that the file beside the ledger remembers. Raises: StoreError when it cannot be read."""
    try:
        value = parse_json(read_regular(folder / HEAD_FILE, HEAD_BYTES))
        return {HEAD_FILE: Head.parse(f"{value['entries']}:{value['hash']}")}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{folder / HEAD_FILE} cannot be read ({error}); it was edited, put its copy back"
        ) from error


def _is_move(entry: Entry) -> bool:
    ends = [entry.get(end, "") for end in ("from", "to")]
    return isinstance(entry.get("alias"), str) and all(end is None or isinstance(end, int) for end in ends)


def _parse(line: bytes) -> Entry | None:
    try:
        entry = parse_json(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def entry_hash(entry: Entry) -> str:
    """sha256 of the entry's canonical JSON (sorted keys, no spaces, ASCII) without its own hash."""
    told = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
