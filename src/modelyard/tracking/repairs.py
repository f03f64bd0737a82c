"""Settling what MLflow says otherwise than the ledger."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException

from modelyard.errors import ModelyardError, StoreError
from modelyard.home import Home
from modelyard.ledger import LOST, read_ledger
from modelyard.tracking import ledger
from modelyard.tracking.aliases import locked, put_back, settle, settle_locked
from modelyard.tracking.by_hand import promote_version
from modelyard.tracking.lineage import PREVIOUS
from modelyard.tracking.naming import find_model
from modelyard.tracking.registry import versions
from modelyard.tracking.removal import withdraw
from modelyard.tracking.standing import Discrepancy, discrepancies
from modelyard.tracking.store import EXPERIMENT, open_store

ADOPTED, NOT_SETTLED = "adopted from MLflow", "not settled"


def settle_all(home: Home, model: str = "", *, adopt: bool = False) -> Iterator[tuple[Discrepancy, str]]:
    """Settle each discrepancy, of one model or of all; gives it and what was done, or why nothing was.

    adopt: an alias that was moved in MLflow is moved in the ledger, through the gates; else MLflow gets the ledger's.
    """
    tried: list[Discrepancy] = []
    while new := [found for found in discrepancies(home, model) if found not in tried]:  # a missing model hides the rest
        tried.append(new[0])
        try:
            yield new[0], _settle(home, new[0], adopt=adopt)
        except (ModelyardError, MlflowException) as error:
            yield new[0], f"{NOT_SETTLED}: {str(error).splitlines()[0]}"


def _settle(home: Home, found: Discrepancy, *, adopt: bool) -> str:
    client, experiment = open_store(home)
    done = "left as it is"
    match found.kind:
        case "experiment":
            if client.get_experiment(experiment).lifecycle_stage == LifecycleStage.DELETED:
                client.restore_experiment(experiment)
            if (of_name := client.get_experiment_by_name(EXPERIMENT)) is None:
                client.rename_experiment(experiment, EXPERIMENT)
            elif of_name.experiment_id != experiment:
                raise StoreError(f"experiment {of_name.experiment_id} has its name; rename or purge that in MLflow first")
            done = "restored, with its runs"
        case "run":
            client.restore_run(found.subject)
            done = "restored"
        case "tags":
            (edited,) = (version.edited for version in versions(home, found.model) if version.number == found.version)
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


def _lose(home: Home, model: str, number: int) -> str:
    """End a version that MLflow has no more in the ledger, and its aliases."""
    with locked(home, model) as (client, folder):
        settle_locked(client, folder)
        if number not in read_ledger(folder).gone:
            ledger.append(folder, [{"model": model, "action": LOST, "version": number, "why": "it is not in MLflow any more"}])
            settle_locked(client, folder)
    return "ended in the ledger; its release stays"


def _settle_alias(home: Home, model: str, alias: str, *, adopt: bool) -> str:
    client, _ = open_store(home)
    number = client.get_registered_model(model).aliases.get(alias)
    if not adopt or alias == PREVIOUS:
        put_back(home, model, alias)
        return "put back"
    if number is None:
        return withdraw(home, model, alias, ADOPTED)
    return promote_version(home, f"{model}@{number}", alias, reason=ADOPTED)
