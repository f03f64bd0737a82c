"""What the ledger's moves amount to: who leads, who led before, what was withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelyard.ledger import Entry

CHAMPION, PREVIOUS = "champion", "previous"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The champions as a person walks back through them."""

    path: tuple[int, ...]
    """Versions from the first champion to the present one, without those that a rollback left."""
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


def lineage(entries: Sequence[Entry]) -> Lineage:
    """Replay the champion's moves: a promotion goes on, a rollback goes back to where it says."""
    path: list[int] = []
    withdrawn: set[int] = set()
    ever: dict[int, None] = {}
    for entry in entries:
        if entry["alias"] != CHAMPION or entry["to"] is None:
            continue
        to = int(entry["to"])
        if not path and entry["from"] is not None:  # led before this ledger began
            path, ever = [int(entry["from"])], {int(entry["from"]): None}
        if entry.get("action") == "rollback" and to in path[:-1]:
            at = len(path) - 2 - path[-2::-1].index(to)
            withdrawn |= set(path[at + 1 :])
            del path[at + 1 :]
        elif path[-1:] != [to]:
            path.append(to)
        withdrawn.discard(to)
        ever[to] = None
    return Lineage(tuple(path), frozenset(withdrawn), tuple(ever))


def pointers(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Alias -> the move that it owes its version to; its `to` is None where the alias was taken away."""
    return {str(entry["alias"]): entry for entry in entries}
