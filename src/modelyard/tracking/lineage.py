"""What the ledger's moves amount to: who leads, who led before, what was withdrawn."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from modelyard.ledger import RENUMBER, Entry

CHAMPION, PREVIOUS = "champion", "previous"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The champions as a person walks back through them."""

    path: tuple[int | None, ...]
    """Versions from the first champion to the present one, without those that a rollback left; None where none leads now."""
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
