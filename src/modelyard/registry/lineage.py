"""What the ledger's moves amount to: who leads, who led before, what was withdrawn, which moves follow from
them.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelyard.errors import BundleError
from modelyard.releases.folders import read_release
from modelyard.releases.ledger import LOST, RENUMBER, Entry
from modelyard.releases.pointers import CHAMPION, PREVIOUS


@dataclass(frozen=True, slots=True)
class Lineage:
    """The champions as a person walks back through them."""

    path: tuple[int | None, ...]
    """Versions from the first champion to the present one, without those that a rollback left; None where
    none leads now.
    """
    withdrawn: frozenset[int]
    """Versions that a rollback left and nobody promoted again."""
    ever: tuple[int, ...]
    """All that ever led, in the order of their first time."""

    @property
    def champion(self) -> int | None:
        return self.path[-1] if self.path else None

    @property
    def previous(self) -> int | None:
        """What a rollback would go to."""
        return self.path[-2] if len(self.path) > 1 else None


def lineage(entries: Sequence[Entry], known: Container[int] | None = None) -> Lineage:
    """Replay the champion's moves: a promotion goes on, a rollback goes back to where it says.

    `known`: the versions that are registered still; others are left out of the path.
    """
    path: list[int | None] = []
    withdrawn: set[int] = set()
    ever: dict[int, None] = {}
    for entry in entries:
        if entry["to"] is not None and entry.get("action") == RENUMBER:
            path = [entry["to"] if version == entry["from"] else version for version in path]
            withdrawn = {entry["to"] if version == entry["from"] else version for version in withdrawn}
        if entry["alias"] != CHAMPION:
            continue
        if entry["to"] is None:
            path.append(None)
            continue
        to = int(entry["to"])
        path = [version for version in path if version is not None]
        if not ever and entry["from"] is not None:  # led before this ledger began
            path, ever = [int(entry["from"])], {int(entry["from"]): None}
        if entry.get("action") == "rollback" and to in path[:-1]:
            at = len(path) - 2 - path[-2::-1].index(to)
            withdrawn |= {version for version in path[at + 1 :] if version is not None}
            del path[at + 1 :]
        elif path[-1:] != [to]:
            path.append(to)
        withdrawn.discard(to)
        ever[to] = None
    if known is not None:
        path = [version for version in path if version is None or version in known]
    return Lineage(tuple(path), frozenset(withdrawn), tuple(ever))


def pointers(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Alias -> the move that it owes its version to; its `to` is None where the alias was taken away."""
    return {str(entry["alias"]): entry for entry in entries}


def answering(folder: Path, entry: Entry) -> int | None:
    """The version that answers for an alias after this move of it.

    A champion whose version was deleted in MLflow leads on from its release, if that is whole, until another
    does: who tidies a page has not decided that nothing be served. So candidates are compared with it still.
    """
    if entry["alias"] == CHAMPION and entry.get("action") == LOST and entry["to"] is None:
        with suppress(BundleError):
            read_release(folder / str(entry["from"]))
            return int(entry["from"])
    return None if entry["to"] is None else int(entry["to"])


def owed_move(model: str, entries: Sequence[Entry], known: Mapping[int, str]) -> Entry | None:
    """The next move that is owed; `known`: the versions that MLflow has as the ledger knows them -> sha256 of
    the ONNX file.
    """
    return next(
        filter(None, (_strayed(entry, known) for entry in pointers(entries).values())),
        _follow(model, entries, known),
    )


def _strayed(entry: Entry, known: Mapping[int, str]) -> Entry | None:
    """To where its file is registered now, for an alias whose version is not there; to nothing where it is
    nowhere.
    """
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
    digest = next(
        (entry.get("onnx_sha256", "") for entry in reversed(entries) if entry["to"] == champions.previous), ""
    )
    return {
        "time": cause["time"],
        "who": cause["who"],
        "model": model,
        "alias": PREVIOUS,
        "action": "follow",
        "from": before,
        "to": champions.previous,
        "onnx_sha256": digest,
        "why": f"what led before version {champions.champion}",
        "evidence": {},
    }
