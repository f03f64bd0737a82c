"""What follows from the ledger's moves: champion, former champions, withdrawn versions, moves still owed."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelyard.errors import BundleError
from modelyard.releases.folders import read_release
from modelyard.releases.ledger import LOST, RENUMBER, AliasMove, Entry
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


def lineage(moves: Sequence[AliasMove], known: Container[int] | None = None) -> Lineage:
    """Replay the champion's moves: a promotion goes on, a rollback goes back to where it says.

    `known`: the versions that are registered still; others are left out of the path.
    """
    path: list[int | None] = []
    withdrawn: set[int] = set()
    ever: dict[int, None] = {}
    for move in moves:
        to = move.to
        if to is not None and move.action == RENUMBER:
            path = [to if version == move.before else version for version in path]
            withdrawn = {to if version == move.before else version for version in withdrawn}
        if move.alias != CHAMPION:
            continue
        if to is None:
            path.append(None)
            continue
        path = [version for version in path if version is not None]
        if not ever and move.before is not None:  # led before this ledger began
            path, ever = [move.before], {move.before: None}
        if move.action == "rollback" and to in path[:-1]:
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


def last_moves(moves: Sequence[AliasMove]) -> dict[str, AliasMove]:
    """Alias -> the move that it owes its version to; its `to` is None where the alias was taken away."""
    return {move.alias: move for move in moves}


def serving_version(folder: Path, move: AliasMove) -> int | None:
    """The version that answers for an alias after this move of it.

    A champion whose version was deleted in MLflow leads on from its release, if that is whole, until another
    is promoted: deleting a version on MLflow's page is no decision to serve nothing.
    """
    if move.alias == CHAMPION and move.action == LOST and move.to is None and move.before is not None:
        with suppress(BundleError):
            read_release(folder / str(move.before))
            return move.before
    return move.to


def owed_move(model: str, moves: Sequence[AliasMove], known: Mapping[int, str]) -> Entry | None:
    """The entry of the next move that is owed; `known`: the versions that MLflow has as the ledger knows them
    -> sha256 of the ONNX file.
    """
    return next(
        filter(None, (_strayed(model, move, known) for move in last_moves(moves).values())),
        _follow(model, moves, known),
    )


def _strayed(model: str, move: AliasMove, known: Mapping[int, str]) -> Entry | None:
    """To where its file is registered now, for an alias whose version is not there; to nothing where it is
    nowhere.
    """
    was_lost = move.action == LOST
    number = move.before if was_lost else move.to
    if number is None or (number in known and not was_lost):
        return None
    digest = move.onnx_sha256
    same = max((version for version, found in known.items() if digest and found == digest), default=None)
    if same is None and was_lost:
        return None
    why = f"version {number} is {'not in MLflow any more' if same != number else 'in MLflow again'}"
    why += f", version {same} is the same file" if same not in {None, number} else ""
    return {
        "model": model,
        "alias": move.alias,
        "onnx_sha256": digest,
        "why": why,
        "action": LOST if same is None else RENUMBER,
        "from": number,
        "to": same,
    }


def _follow(model: str, moves: Sequence[AliasMove], known: Mapping[int, str]) -> Entry | None:
    """The move that `previous` owes to the champion's last one: to what a rollback would go to."""
    champions, last = lineage(moves, known), last_moves(moves)
    before = last[PREVIOUS].to if PREVIOUS in last else None
    if before == champions.previous:
        return None
    cause = last[CHAMPION]
    digest = next((move.onnx_sha256 for move in reversed(moves) if move.to == champions.previous), "")
    return {
        "time": cause.time,
        "who": cause.who,
        "model": model,
        "alias": PREVIOUS,
        "action": "follow",
        "from": before,
        "to": champions.previous,
        "onnx_sha256": digest,
        "why": f"what led before version {champions.champion}",
        "evidence": {},
    }
