"""Moves that follow from others, or from what was deleted in MLflow: what each alias owes to the versions that are left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from modelyard.errors import BundleError
from modelyard.ledger import LOST, RENUMBER, Entry
from modelyard.releases import read_release
from modelyard.tracking.lineage import CHAMPION, PREVIOUS, lineage, pointers


def answering(folder: Path, entry: Entry) -> int | None:
    """The version that answers for an alias after this move of it.

    A champion whose version was deleted in MLflow leads on from its release, if that is whole, until another does: who tidies
    a page has not decided that nothing be served. So candidates are compared with it still.
    """
    if entry["alias"] == CHAMPION and entry.get("action") == LOST and entry["to"] is None:
        with suppress(BundleError):
            read_release(folder / str(entry["from"]))
            return int(entry["from"])
    return None if entry["to"] is None else int(entry["to"])


def owed_move(model: str, entries: Sequence[Entry], known: Mapping[int, str]) -> Entry | None:
    """The next move that is owed; `known`: the versions that MLflow has as the ledger knows them -> sha256 of the ONNX file."""
    return next(filter(None, (_strayed(entry, known) for entry in pointers(entries).values())), _follow(model, entries, known))


def _strayed(entry: Entry, known: Mapping[int, str]) -> Entry | None:
    """To where its file is registered now, for an alias whose version is not there; to nothing where it is nowhere."""
    was_lost = entry.get("action") == LOST
    number = entry["from"] if was_lost else entry["to"]
    if number is None or (number in known and not was_lost):
        return None
    digest = entry.get("onnx_sha256", "")
    same = max((version for version, found in known.items() if digest and found == digest), default=None)
    if same is None and was_lost:
        return None
    why = f"version {number} is {'not in MLflow any more' if same != number else 'in MLflow again'}"
    why += f", version {same} is the same file" if same not in {None, number} else ""
    kept = {name: entry[name] for name in ("model", "alias")} | {"onnx_sha256": digest, "why": why}
    return kept | {"action": LOST if same is None else RENUMBER, "from": number, "to": same}


def _follow(model: str, entries: Sequence[Entry], known: Mapping[int, str]) -> Entry | None:
    """The move that `previous` owes to the champion's last one: to what a rollback would go to."""
    champions = lineage(entries, known)
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
