"""Settling what MLflow says otherwise than the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from mlflow.exceptions import MlflowException

from modelyard.errors import ModelyardError
from modelyard.home import Home
from modelyard.ledger import LOST, read_ledger
from modelyard.tracking import ledger
from modelyard.tracking.aliases import ending, locked, put_back, settle, settle_locked, withdraw
from modelyard.tracking.by_hand import promote_version
from modelyard.tracking.lineage import PREVIOUS
from modelyard.tracking.registry import versions
from modelyard.tracking.standing import Discrepancy, discrepancies
from modelyard.tracking.store import open_store

ADOPTED, NOT_SETTLED = "adopted from MLflow", "not settled"


def settle_all(home: Home, model: str = "", *, adopt: bool = False) -> Iterator[tuple[Discrepancy, str]]:
    """Settle each discrepancy, of one model or of all; gives it and what was done, which names the reason where nothing was.

    adopt: an alias that was moved in MLflow is moved in the ledger, through the gates; else MLflow gets the ledger's.
    """
    tried: list[Discrepancy] = []
    while new := [found for found in discrepancies(home, model) if found not in tried]:  # one hides what is below it
        tried.append(new[0])
        try:
            yield new[0], _settled(home, new[0], adopt=adopt)
        except ModelyardError as error:
            yield new[0], f"{NOT_SETTLED}: {error}"


def _settled(home: Home, found: Discrepancy, *, adopt: bool) -> str:
    client, experiment = open_store(home)
    match found.kind:
        case "experiment":
            client.restore_experiment(experiment)
            return "restored, with its runs"
        case "run":
            client.restore_run(found.subject)
            return "restored"
        case "tags":
            return _tag(home, found)
        case "model":
            settle(home, found.model)
            with suppress(MlflowException):  # it has its name again
                client.create_registered_model(found.model)
                settle(home, found.model)
                return "made anew, without versions; its aliases ended in the ledger"
            return "named back"
        case "version" | "file":
            return _lose(home, found.model, int(found.subject))
        case "alias":
            return _alias(home, found.model, found.subject, adopt=adopt)
    return "left as it is"


def _tag(home: Home, found: Discrepancy) -> str:
    client, _ = open_store(home)
    version = next(version for version in versions(home, found.model) if version.number == found.version)
    for name, value in version.edited.items():
        client.set_model_version_tag(found.model, str(version.number), name, value)
    return "set as its release tells"


def _lose(home: Home, model: str, number: int) -> str:
    """End the aliases of a version that MLflow has no more, and the version itself, in the ledger."""
    with locked(home, model) as (client, folder):
        settle_locked(client, folder)
        if number not in read_ledger(folder).gone:
            ledger.append(folder, [ending(model, number, LOST, "it is not in MLflow any more")])
        settle_locked(client, folder)
    return "ended in the ledger; its release stays"


def _alias(home: Home, model: str, alias: str, *, adopt: bool) -> str:
    client, _ = open_store(home)
    number = client.get_registered_model(model).aliases.get(alias)
    if not adopt or alias == PREVIOUS:
        put_back(home, model, alias)
        return "put back"
    if number is None:
        return withdraw(home, model, alias, ADOPTED)
    return promote_version(home, f"{model}@{number}", alias, reason=ADOPTED)
