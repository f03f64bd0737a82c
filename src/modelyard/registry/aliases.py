"""Moving aliases: the ledger decides, the registry and the alias files that serving reads follow it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.errors import AliasMovedError, StoreError
from modelyard.files import check_space, make_folder
from modelyard.home import Home
from modelyard.progress import current_progress
from modelyard.registry.entering import enter_versions
from modelyard.registry.heads import remember_head, tagged_head
from modelyard.registry.lineage import last_moves, owed_move, serving_version
from modelyard.registry.versions import Version, registered
from modelyard.registry.vouching import find_model, restore_names
from modelyard.releases import ledger_writer
from modelyard.releases.chain import demand_whole
from modelyard.releases.ledger import LEDGER_FILE, LOST, RENUMBER, AliasMove, Ledger, read_head, read_ledger
from modelyard.releases.pointers import write_pointer
from modelyard.tracking.store import open_store


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
    """Point an alias at a version if it still points at `expected`: under one lock, in ledger, registry and
    file.

    A move that was cut short before is completed first. Where this one cannot be written, it is taken back.
    Raises: AliasMovedError when another process moved the alias; StoreError when the disk is full or the
    ledger altered.
    """
    model, to = move.version.name, move.version.number
    with locked(home, model) as (client, folder):
        known = settle_locked(client, folder)
        moves = read_ledger(folder).moves
        before = version_of_alias(client, folder, moves, move.alias)
        if before != expected:
            raise AliasMovedError(
                f"{model}@{move.alias} moved to version {before} meanwhile; look at it and try again"
            )
        if before == to and move.alias in last_moves(moves):
            return
        theirs = client.get_registered_model(model).aliases.get(move.alias)
        if theirs is not None and int(theirs) not in {before, to}:
            current_progress.get().say(
                f"NOTE: {move.alias} of {model}, which was moved to {theirs} in MLflow, is moved on"
            )
        if to not in known:
            raise StoreError(
                f"{model}@{to} is not in MLflow any more as the ledger knows it; nothing was moved"
            )
        check_space(home.root)
        told = {"onnx_sha256": move.version.digest, "why": move.why, "evidence": move.evidence}
        entry = {"model": model, "alias": move.alias, "action": move.action, "from": before, "to": to} | told
        size = ledger_writer.append(folder, [entry])
        try:
            settle_locked(client, folder)
        except Exception:
            with suppress(
                Exception
            ):  # what cannot even be taken back stays in the ledger, and the next command completes it
                _take_back(client, folder, size)
            raise


def settle(home: Home, model: str) -> None:
    """Complete a move that was cut short, and end the aliases of versions that were deleted in MLflow, with a
    line each.
    """
    with locked(home, model) as (client, folder):
        settle_locked(client, folder)


def restore_alias(home: Home, model: str, alias: str) -> None:
    """Set an alias in MLflow to what the ledger says."""
    with locked(home, model) as (client, folder):
        settle_locked(client, folder)
        last = last_moves(read_ledger(folder).moves).get(alias)
        _point(client, folder, {alias: last.to if last else None})


def record(home: Home, version: Version) -> None:
    """Enter a released version into its ledger, with the digests of all its files. Raises: StoreError."""
    with locked(home, version.name, new=version.number):
        # the promotion that follows settles the rest: the next version may be the file that an alias lost
        return


@contextmanager
def locked(home: Home, model: str, *, new: int | None = None) -> Iterator[tuple[MlflowClient, Path]]:
    """Nobody else moves an alias meanwhile. Raises: StoreError for an altered ledger, and where the registry
    refuses.
    """
    client, _ = open_store(home)
    folder = home.releases_of(model)
    with FileLock(make_folder(home.locks) / "alias.lock"):
        try:
            restore_names(home)
            demand_whole(folder, read_head(folder) | tagged_head(client, model))
            enter_versions(client, folder, new)
            yield client, folder
        except MlflowException as error:
            raise StoreError(
                f"the registry refused to move an alias of {model}: {str(error).splitlines()[0][:160]}"
            ) from error


def version_of_alias(client: MlflowClient, folder: Path, moves: list[AliasMove], alias: str) -> int | None:
    """By the ledger; by the registry for an alias that the ledger does not know."""
    if move := last_moves(moves).get(alias):
        return serving_version(folder, move)
    number = client.get_registered_model(folder.name).aliases.get(alias)
    return None if number is None else int(number)


def settle_locked(client: MlflowClient, folder: Path) -> dict[int, str]:
    """Make `previous`, the registry, the alias files and both heads say what the ledger says.

    In the registry only aliases that moved since it was in step: another that differs was moved there by a
    person, which is told, not undone. Gives the versions that MLflow has as the ledger knows them -> sha256
    of the ONNX file.
    """
    found, model = read_ledger(folder), find_model(client, folder.name)
    there = registered(client, folder, model)
    known = {
        version.number: version.digest for version in there if found.knows(version.number, version.digest)
    }
    if not found.lines or model is None:
        return known
    moves = found.moves
    while owed := owed_move(folder.name, moves, known):
        ledger_writer.append(folder, [owed])
        moves = read_ledger(folder).moves
        if owed["action"] in {LOST, RENUMBER}:
            current_progress.get().say(f"NOTE: {owed['alias']} of {folder.name}: {owed['why']}")
    since = max((head.entries for head in tagged_head(client, folder.name).values()), default=0)
    new = Ledger(entries=read_ledger(folder).entries[since:]).moves
    _point(client, folder, {move.alias: move.to for move in new})
    for alias, move in last_moves(moves).items():
        write_pointer(folder, alias, serving_version(folder, move))
    remember_head(client, folder)
    return known


def _take_back(client: MlflowClient, folder: Path, size: int) -> None:
    """Undo the entries after the first `size` bytes of the ledger, the ledger last."""
    kept = (folder / LEDGER_FILE).read_bytes()[:size].count(b"\n")
    new = Ledger(entries=read_ledger(folder).entries[kept:]).moves
    undone = {move.alias: move.before for move in reversed(new)}
    _point(client, folder, undone)
    for alias, number in undone.items():
        write_pointer(folder, alias, number)
    ledger_writer.cut_back(folder, size)


def _point(client: MlflowClient, folder: Path, wanted: dict[str, int | None]) -> None:
    """Set aliases in the registry: alias -> version, None deletes it."""
    aliases = client.get_registered_model(folder.name).aliases
    for alias, number in wanted.items():
        found = aliases.get(alias)
        if number is None and found is not None:
            client.delete_registered_model_alias(folder.name, alias)
        elif number is not None and (found is None or int(found) != number):
            client.set_registered_model_alias(folder.name, alias, str(number))
