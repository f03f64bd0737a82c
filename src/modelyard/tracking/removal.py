"""Deleting versions, models and runs, in MLflow first: what a kill leaves is told and settled like a deletion in its page."""

from __future__ import annotations

import shutil

from mlflow.exceptions import MlflowException

from modelyard.errors import StoreError
from modelyard.gates.record import record_file
from modelyard.home import Home
from modelyard.ledger import DELETE, WITHDRAW, read_ledger
from modelyard.releases import known_versions
from modelyard.tracking import ledger
from modelyard.tracking.aliases import locked, pointer, settle, settle_locked
from modelyard.tracking.lineage import CHAMPION, PREVIOUS, pointers
from modelyard.tracking.naming import find_model
from modelyard.tracking.owed import answering
from modelyard.tracking.registry import model_names, registered, versions
from modelyard.tracking.runs import is_at_work
from modelyard.tracking.store import open_store


def withdraw(home: Home, model: str, alias: str, why: str) -> str:
    """End an alias; gives what was done in one line. Raises: StoreError."""
    settle(home, model)
    with locked(home, model) as (client, folder):
        before = pointer(client, folder, read_ledger(folder).moves, alias)
        if before is None or alias == PREVIOUS:
            raise StoreError(
                f"{alias} of {model} cannot be withdrawn: it {'points to nothing' if before is None else 'follows champion'}"
            )
        ended = {"model": model, "alias": alias, "action": WITHDRAW, "from": before, "to": None, "why": why}
        ledger.append(folder, [ended])
        settle_locked(client, folder)
    return f"{alias} of {model}: version {before} -> none, {why}"


def delete(home: Home, reference: str, why: str) -> str:
    """Delete `model@number`, or a whole `model`, with its releases; the ledger stays. Gives what was done.

    Raises: StoreError for a version that an alias names and for a model that has a champion.
    """
    model, _, wanted = reference.partition("@")
    settle(home, model)
    with locked(home, model) as (client, folder):
        found = find_model(client, model)
        known = {version.number for version in registered(client, folder, found)}
        chosen = {n for n in (*known, *map(int, known_versions(home.releases, model))) if wanted in {"", str(n)}}
        if not chosen and (wanted or found is None):
            raise StoreError(f"there is no {reference!r} to delete: expected MODEL@NUMBER or MODEL; see modelyard models list")
        named = {alias: int(number) for alias, number in found.aliases.items()} if found else {}
        named |= {alias: answering(folder, entry) or 0 for alias, entry in pointers(read_ledger(folder).moves).items()}
        held = {alias: number for alias, number in named.items() if number in chosen}
        if held and (wanted or CHAMPION in held):
            told = ", ".join(f"{alias} names version {number}" for alias, number in held.items())
            raise StoreError(f"{reference} was not deleted: {told}; promote another first, or modelyard models withdraw it")
        if found and not wanted:
            client.delete_registered_model(model)
        for number in sorted(chosen & known) if wanted else []:
            client.delete_model_version(model, str(number))
        ended = [{"alias": alias, "action": WITHDRAW, "from": number, "to": None} for alias, number in held.items()]
        ended += [{"action": DELETE, "version": number} for number in sorted(chosen)]
        ledger.append(folder, [{"model": model, "why": why} | entry for entry in ended])
        for path in [folder / str(number) for number in chosen]:
            record_file(path).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)
        settle_locked(client, folder)
    return f"{reference} was deleted"


def delete_run(home: Home, run_id: str) -> str:
    """Delete a run of which no registered version comes; MLflow keeps it until `mlflow gc`. Raises: StoreError."""
    client, _ = open_store(home)
    for version in (version for name in model_names(home) for version in versions(home, name)):
        if version.run_id == run_id:
            raise StoreError(f"run {run_id} was not deleted: {version.name}@{version.number} came of it")
    try:
        if is_at_work(home, client.get_run(run_id)):
            raise StoreError(f"run {run_id} was not deleted: it is at work; end it first")
        client.delete_run(run_id)
    except MlflowException as error:
        raise StoreError(f"run {run_id} was not deleted: {str(error).splitlines()[0][:160]}") from error
    return f"run {run_id} was deleted; mlflow gc removes its files"
