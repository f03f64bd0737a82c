"""Taking away versions, models, runs and aliases, and settling what MLflow says otherwise than the ledger.

Both in MLflow first: what a kill leaves is told and settled like a deletion in its page.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from modelyard.errors import ModelyardError, StoreError
from modelyard.home import Home
from modelyard.machine.identity import is_gone
from modelyard.promotion.manual import promote_version
from modelyard.promotion.record import record_file
from modelyard.registry.aliases import locked, restore_alias, settle, settle_locked, version_of_alias
from modelyard.registry.lineage import last_moves, serving_version
from modelyard.registry.standing import Discrepancy, discrepancies
from modelyard.registry.versions import model_names, registered, versions
from modelyard.registry.vouching import find_model
from modelyard.releases import ledger_writer
from modelyard.releases.folders import known_versions
from modelyard.releases.ledger import DELETE, LOST, WITHDRAW, read_ledger
from modelyard.releases.pointers import CHAMPION, PREVIOUS
from modelyard.tracking.runs import PROCESS_TAG
from modelyard.tracking.store import EXPERIMENT, open_for_writing, open_store

ADOPTED = "adopted from MLflow"


@dataclass(frozen=True, slots=True)
class Settlement:
    """One discrepancy and what was done about it, or why nothing was."""

    discrepancy: Discrepancy
    done: str
    failed: bool = False


def settle_all(home: Home, model: str = "", *, adopt: bool = False) -> Iterator[Settlement]:
    """Settle each discrepancy, of one model or of all.

    adopt: an alias that was moved in MLflow is moved in the ledger, through the gates; else MLflow gets the
    ledger's.
    """
    tried: list[Discrepancy] = []
    while new := [
        found for found in discrepancies(home, model) if found not in tried
    ]:  # a missing model hides the rest
        tried.append(new[0])
        try:
            yield Settlement(new[0], _settle(home, new[0], adopt=adopt))
        except (ModelyardError, MlflowException) as error:
            yield Settlement(new[0], f"not settled: {str(error).splitlines()[0]}", failed=True)


def _settle(home: Home, found: Discrepancy, *, adopt: bool) -> str:
    client, _ = open_store(home)
    done = "left as it is"
    match found.kind:
        case "experiment":
            done = _restore_experiment(home)
        case "run":
            client.restore_run(found.subject)
            done = "restored"
        case "tags":
            (edited,) = (
                version.edited for version in versions(home, found.model) if version.number == found.version
            )
            for name, value in edited.items():
                client.set_model_version_tag(found.model, str(found.version), name, value)
            done = "set as its release tells"
        case "model":
            settle(home, found.model)
            done = "named back"
            if find_model(client, found.model) is None:
                client.create_registered_model(found.model)
                done = "made anew, without versions"
        case "version" | "file":
            done = _lose(home, found.model, int(found.subject.split()[-1]))
        case "alias":
            done = _settle_alias(home, found.model, found.subject, adopt=adopt)
    return done


def _restore_experiment(home: Home) -> str:
    client, experiment = open_for_writing(home)
    if (of_name := client.get_experiment_by_name(EXPERIMENT)) is None:
        client.rename_experiment(experiment, EXPERIMENT)
    elif of_name.experiment_id != experiment:
        raise StoreError(
            f"experiment {of_name.experiment_id} has its name; rename or purge that in MLflow first"
        )
    return "restored, with its runs"


def _lose(home: Home, model: str, number: int) -> str:
    """End a version that MLflow has no more in the ledger, and its aliases."""
    with locked(home, model) as (client, folder):
        settle_locked(client, folder)
        if number not in read_ledger(folder).gone:
            ledger_writer.append(
                folder,
                [{"model": model, "action": LOST, "version": number, "why": "it is not in MLflow any more"}],
            )
            settle_locked(client, folder)
    return "ended in the ledger; its release stays"


def _settle_alias(home: Home, model: str, alias: str, *, adopt: bool) -> str:
    client, _ = open_store(home)
    number = client.get_registered_model(model).aliases.get(alias)
    if not adopt or alias == PREVIOUS:
        restore_alias(home, model, alias)
        return "put back"
    if number is None:
        return withdraw(home, model, alias, ADOPTED)
    return promote_version(home, f"{model}@{number}", alias, reason=ADOPTED)


def withdraw(home: Home, model: str, alias: str, why: str) -> str:
    """End an alias; gives what was done in one line. Raises: StoreError."""
    with locked(home, model) as (client, folder):
        settle_locked(client, folder)
        before = version_of_alias(client, folder, read_ledger(folder).moves, alias)
        if before is None or alias == PREVIOUS:
            reason = "points to nothing" if before is None else "follows champion"
            raise StoreError(f"{alias} of {model} cannot be withdrawn: it {reason}")
        ended = {"model": model, "alias": alias, "action": WITHDRAW, "from": before, "to": None, "why": why}
        ledger_writer.append(folder, [ended])
        settle_locked(client, folder)
    return f"{alias} of {model}: version {before} -> none, {why}"


def delete(home: Home, reference: str, why: str) -> str:
    """Delete `model@number`, or a whole `model`, with its releases; the ledger stays. Gives what was done.

    Raises: StoreError for a version that an alias names and for a model that has a champion.
    """
    model, _, wanted = reference.partition("@")
    with locked(home, model) as (client, folder):
        settle_locked(client, folder)
        found = find_model(client, model)
        known = {version.number for version in registered(client, folder, found)}
        chosen = {
            n for n in (*known, *map(int, known_versions(home.releases, model))) if wanted in {"", str(n)}
        }
        if not chosen and (wanted or found is None):
            raise StoreError(
                f"there is no {reference!r} to delete: expected "
                "MODEL@NUMBER or MODEL; see modelyard models list"
            )
        named = {alias: int(number) for alias, number in found.aliases.items()} if found else {}
        named |= {
            alias: serving_version(folder, move) or 0
            for alias, move in last_moves(read_ledger(folder).moves).items()
        }
        held = {alias: number for alias, number in named.items() if number in chosen}
        if held and (wanted or CHAMPION in held):
            told = ", ".join(f"{alias} names version {number}" for alias, number in held.items())
            raise StoreError(
                f"{reference} was not deleted: {told}; promote another first, or modelyard models withdraw it"
            )
        if found and not wanted:
            client.delete_registered_model(model)
        for number in sorted(chosen & known) if wanted else []:
            client.delete_model_version(model, str(number))
        ended = [
            {"alias": alias, "action": WITHDRAW, "from": number, "to": None} for alias, number in held.items()
        ]
        ended += [{"action": DELETE, "version": number} for number in sorted(chosen)]
        ledger_writer.append(folder, [{"model": model, "why": why} | entry for entry in ended])
        for path in [folder / str(number) for number in chosen]:
            record_file(path).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)
        settle_locked(client, folder)
    return f"{reference} was deleted"


def delete_run(home: Home, run_id: str) -> str:
    """Delete a run of which no registered version comes; MLflow keeps it until `mlflow gc`. Raises:
    StoreError.
    """
    client, _ = open_store(home)
    users = [f"{version.name}@{version.number} "
"came of it" for name in model_names(home) for version in versions(home, name)
             if version.run_id == run_id]  # fmt: skip
    try:
        run = client.get_run(run_id)
        workers = run.data.tags.get(PROCESS_TAG, "").split()
        if run.info.status == "RUNNING" and not all(is_gone(name, home) for name in workers):
            users.append("it is at work; end it first")
        if users:
            raise StoreError(f"run {run_id} was not deleted: {users[0]}")
        client.delete_run(run_id)
    except MlflowException as error:
        raise StoreError(f"run {run_id} was not deleted: {str(error).splitlines()[0][:160]}") from error
    return f"run {run_id} was deleted; mlflow gc removes its files"
