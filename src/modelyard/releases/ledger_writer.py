"""Writing a model's ledger (`releases.ledger`): entries are appended and synced, or cut off again."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from modelyard.errors import StoreError
from modelyard.files import make_folder, open_as_folder, write_atomically, write_json
from modelyard.progress import current_progress
from modelyard.releases.chain import digest_of_lines
from modelyard.releases.ledger import (
    HEAD_FILE,
    LEDGER_FILE,
    ZEROS,
    Entry,
    Head,
    Ledger,
    entry_hash,
    read_head,
    read_ledger,
)  # fmt: skip


def write_head(folder: Path, head: Head) -> None:
    """Remember the end of the chain beside it."""
    if head not in read_head(folder).values():
        write_json(folder / HEAD_FILE, {"entries": head.entries, "hash": head.hash})


def append(folder: Path, moves: Sequence[Entry]) -> int:
    """Chain and write entries with time and user, all or none; gives the size before, for `cut_back`.

    The caller holds the lock.
    """
    path, ledger = make_folder(folder) / LEDGER_FILE, _repaired(folder)
    size = path.stat().st_size if path.exists() else 0
    prev, seals = ledger.head.hash, {}
    if prev == ZEROS and ledger.lines:
        seals = {"before_chain": digest_of_lines(ledger.lines)}
    text = b""
    stamp = {"time": datetime.now(UTC).isoformat(), "who": getpass.getuser()}
    for move in moves:
        entry = stamp | move | seals | {"prev": prev}
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
        raise StoreError(
            f"cannot write {path}: {error.strerror}; nothing was moved; free space and try again"
        ) from error
    return size


def cut_back(folder: Path, size: int) -> None:
    """Take back the entries after the first `size` bytes, where a move could not be completed."""
    with suppress(OSError):
        os.truncate(folder / LEDGER_FILE, size)


def _repaired(folder: Path) -> Ledger:
    """The ledger; a torn last line is moved aside in its file and a missing end of line added."""
    ledger, path = read_ledger(folder), folder / LEDGER_FILE
    if ledger.torn:
        aside = folder / f"ledger.torn-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        write_atomically(aside, ledger.torn)
        os.truncate(path, path.stat().st_size - len(ledger.torn))
        current_progress.get().say(
            f"NOTE: the last line of {path} was torn ({len(ledger.torn)} bytes, moved to "
            f"{aside.name}); no whole entry was lost"
        )
    elif ledger.lines and not path.read_bytes().endswith(b"\n"):
        with path.open("ab") as stream:
            stream.write(b"\n")
    return ledger
