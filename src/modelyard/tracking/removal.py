"""Deleting versions, models and runs, in MLflow first: what a kill leaves is told and settled like a deletion in its page."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.errors import StoreError
from modelyard.gates.record import record_file
from modelyard.home import Home
from modelyard.ledger import DELETE, read_ledger
from modelyard.releases import known_versions
from modelyard.tracking import ledger
from modelyard.tracking.aliases import ending, locked, settle, settle_locked, withdrawal
from modelyard.tracking.lineage import CHAMPION, pointers
from modelyard.tracking.naming import is_missing
from modelyard.tracking.owed import answering
from modelyard.tracking.registry import model_names, registered, versions
from modelyard.tracking.store import open_store


def delete(home: Home, reference: str, reason: str = "") -> str:
    """Delete `model@number`, or a whole `model`, with its releases; the ledger stays. Gives what was done.

    Raises: StoreError for a version that an alias names and a model that has a champion.
    """
    model, _, wanted = reference.partition("@")
    settle(home, model)
    with locked(home, model) as (client, folder):
        settle_locked(client, folder)
        known = [version.number for version in registered(client, folder)]
        released = [int(version) for version in known_versions(home.releases, model)]
        chosen = {number for number in (*known, *released) if wanted in {"", str(number)}}
        if not (chosen or (known == [] and not wanted and not is_missing(client, model))):
            raise StoreError(f"there is no {reference!r} to delete: expected MODEL@NUMBER or MODEL; see modelyard models list")
        held = {alias: number for alias, number in _named(client, folder).items() if number in chosen}
        if held and (wanted or CHAMPION in held):
            told = ", ".join(f"{alias} names version {number}" for alias, number in held.items())
            raise StoreError(f"{reference} was not deleted: {told}; promote another first, or modelyard models withdraw")
        if not wanted and not is_missing(client, model):
            client.delete_registered_model(model)
        for number in sorted(chosen):
            if wanted and number in known:
                client.delete_model_version(model, str(number))
            ledger.append(folder, [ending(model, number, DELETE, reason or "by hand")])
            shutil.rmtree(folder / str(number), ignore_errors=True)
            record_file(folder / str(number)).unlink(missing_ok=True)
        for alias in [] if wanted else held:
            ledger.append(folder, [withdrawal(model, alias, held[alias], "its model was deleted")])
            (folder / f"{alias}.alias").unlink(missing_ok=True)
        settle_locked(client, folder)
    return f"{reference} was deleted"


def _named(client: MlflowClient, folder: Path) -> dict[str, int]:
    """Alias -> version, by MLflow, by the ledger and by what is served; the last word is the ledger's."""
    missing = is_missing(client, folder.name)
    named = {} if missing else {a: int(n) for a, n in client.get_registered_model(folder.name).aliases.items()}
    for alias, entry in pointers(read_ledger(folder).moves).items():
        if (number := answering(folder, entry)) is not None:
            named[alias] = number
    return named


def delete_run(home: Home, run_id: str) -> str:
    """Delete a run of which no registered version comes; MLflow keeps it until `mlflow gc`. Raises: StoreError."""
    client, _ = open_store(home)
    for version in (version for name in model_names(home) for version in versions(home, name)):
        if version.run_id == run_id:
            raise StoreError(f"run {run_id} was not deleted: {version.name}@{version.number} came of it")
    try:
        client.delete_run(run_id)
    except MlflowException as error:
        raise StoreError(f"run {run_id} was not deleted: {str(error).splitlines()[0][:160]}") from error
    return f"run {run_id} was deleted; mlflow gc removes its files"
