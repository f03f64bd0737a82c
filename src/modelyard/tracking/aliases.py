"""Moving aliases: the ledger says what is so, the registry and the files that serving reads follow it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.errors import AliasMovedError, StoreError
from modelyard.files import check_space, make_folder, read_regular, write_atomically
from modelyard.home import Home
from modelyard.ledger import LEDGER_FILE, Entry, Head, demand_whole, read_head, read_ledger
from modelyard.progress import current_progress
from modelyard.tracking import ledger
from modelyard.tracking.entering import enter_versions
from modelyard.tracking.lineage import CHAMPION, PREVIOUS, lineage, pointers
from modelyard.tracking.registry import Version
from modelyard.tracking.store import open_store

HEAD_TAG = "modelyard.ledger_head"
"""Tag of a registered model: lines and last hash of its ledger, so that a ledger that was cut shows."""


@dataclass(frozen=True, slots=True)
class Move:
    """To which version an alias shall point, and why."""

    version: Version
    alias: str
    why: str
    action: str = "promote"
    """`promote` or `rollback`; `follow` is written for `previous`."""
    evidence: dict[str, Any] = field(default_factory=dict)


def move_alias(home: Home, move: Move, *, expected: int | None) -> None:
    """Point an alias at a version if it still points at `expected`: under one lock, in ledger, registry and file.

    A move that was cut short before is completed first. Where this one cannot be written, it is taken back.
    Raises: AliasMovedError when another process moved the alias; StoreError when the disk is full or the ledger altered.
    """
    model, to = move.version.name, move.version.number
    with _locked(home, model) as (client, folder):
        _settle(client, folder)
        entries = read_ledger(folder).moves
        before = _pointer(client, folder.name, entries, move.alias)
        if before != expected:
            raise AliasMovedError(f"{model}@{move.alias} moved to version {before} meanwhile; look at it and try again")
        if before == to and move.alias in pointers(entries):
            return
        check_space(home.root)
        size = ledger.append(folder, [_entry(move, before)])
        try:
            _settle(client, folder)
        except Exception:
            with suppress(Exception):  # what cannot even be taken back stays in the ledger, and the next command completes it
                _take_back(client, folder, size)
            raise


def settle(home: Home, model: str) -> None:
    """Complete a move that was cut short."""
    with _locked(home, model) as (client, folder):
        _settle(client, folder)


def record(home: Home, version: Version) -> None:
    """Enter a released version into its ledger, with the digests of all its files. Raises: StoreError."""
    with _locked(home, version.name, new=version.number) as (client, folder):
        _settle(client, folder)


def registry_head(home: Home, model: str) -> dict[str, Head]:
    """The end of the ledger that the registry remembers. Raises: StoreError."""
    client, _ = open_store(home)
    return _tagged_head(client, model)


@contextmanager
def _locked(home: Home, model: str, *, new: int | None = None) -> Iterator[tuple[MlflowClient, Path]]:
    client, _ = open_store(home)
    folder = home.releases_of(model)
    with FileLock(make_folder(home.locks) / "alias.lock"):
        try:
            demand_whole(folder, read_head(folder) | _tagged_head(client, model))
            enter_versions(client, folder, new)
            yield client, folder
        except MlflowException as error:
            raise StoreError(f"the registry refused to move an alias of {model}: {str(error).splitlines()[0][:160]}") from error


def _tagged_head(client: MlflowClient, model: str) -> dict[str, Head]:
    try:
        text = client.get_registered_model(model).tags.get(HEAD_TAG)
        return {"the registry": Head.parse(text)} if text else {}
    except MlflowException:
        return {}
    except ValueError as error:
        raise StoreError(f"tag {HEAD_TAG} of {model} was edited ({error}); put its copy back") from error


def _pointer(client: MlflowClient, model: str, entries: list[Entry], alias: str) -> int | None:
    """By the ledger; by the registry for an alias that the ledger does not know."""
    if entry := pointers(entries).get(alias):
        return None if entry["to"] is None else int(entry["to"])
    number = client.get_registered_model(model).aliases.get(alias)
    return None if number is None else int(number)


def _entry(move: Move, before: int | None) -> Entry:
    return {
        "time": datetime.now(UTC).isoformat(), "who": getpass.getuser(), "model": move.version.name, "alias": move.alias,
        "action": move.action, "from": before, "to": move.version.number, "onnx_sha256": move.version.tags["onnx_sha256"],
        "why": move.why, "evidence": move.evidence,
    }  # fmt: skip


def _settle(client: MlflowClient, folder: Path) -> None:
    """Make `previous`, the registry, the alias files and both heads say what the ledger says."""
    found = read_ledger(folder)
    if not found.lines:
        return
    entries = found.moves
    if follow := _follow(folder.name, entries):
        ledger.append(folder, [follow])
        entries.append(follow)
    _point(client, folder, {alias: entry["to"] for alias, entry in pointers(entries).items()})
    _remember_head(client, folder)


def _take_back(client: MlflowClient, folder: Path, size: int) -> None:
    """Undo the entries after the first `size` bytes of the ledger, the ledger last."""
    kept = (folder / LEDGER_FILE).read_bytes()[:size].count(b"\n")
    undone = filter(None, reversed(read_ledger(folder).entries[kept:]))
    _point(client, folder, {entry["alias"]: entry["from"] for entry in undone})
    ledger.cut_back(folder, size)


def _point(client: MlflowClient, folder: Path, wanted: dict[str, int | None]) -> None:
    """Make the registry and the alias files say so."""
    registered = client.get_registered_model(folder.name).aliases
    for alias, number in wanted.items():
        found = registered.get(alias)
        if number is None and found is not None:
            client.delete_registered_model_alias(folder.name, alias)
        elif number is not None and (found is None or int(found) != number):
            client.set_registered_model_alias(folder.name, alias, str(number))
        _write_pointer(folder / f"{alias}.alias", number)


def _follow(model: str, entries: list[Entry]) -> Entry | None:
    """The move that `previous` owes to the champion's last one: to what a rollback would go to."""
    champions = lineage(entries)
    last = pointers(entries).get(PREVIOUS)
    before = None if last is None else last["to"]
    if before == champions.previous:
        return None
    cause = pointers(entries)[CHAMPION]
    digest = next((entry.get("onnx_sha256", "") for entry in reversed(entries) if entry["to"] == champions.previous), "")
    return {
        "time": cause["time"], "who": cause["who"], "model": model, "alias": PREVIOUS, "action": "follow", "from": before,
        "to": champions.previous, "onnx_sha256": digest, "why": f"what led before version {champions.champion}", "evidence": {},
    }  # fmt: skip


def _write_pointer(path: Path, number: int | None) -> None:
    if number is None:
        path.unlink(missing_ok=True)
        return
    content = f"{number}\n".encode()
    with suppress(OSError):
        if read_regular(path, len(content)) == content:
            return
    write_atomically(path, content)


def _remember_head(client: MlflowClient, folder: Path) -> None:
    """Last of all, so that no head is ever ahead of its ledger."""
    head = read_ledger(folder).head
    ledger.write_head(folder, head)
    try:
        if client.get_registered_model(folder.name).tags.get(HEAD_TAG) != str(head):
            client.set_registered_model_tag(folder.name, HEAD_TAG, str(head))
    except MlflowException:
        current_progress.get().say(f"NOTE: the registry did not remember the ledger of {folder.name}; the next move does")
