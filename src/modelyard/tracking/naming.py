"""A registered model by its name, and by what it carries with it when somebody renamed it in MLflow."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.home import Home
from modelyard.ledger import Head, read_ledger
from modelyard.progress import current_progress
from modelyard.tracking.store import open_store

HEAD_TAG = "modelyard.ledger_head"
"""Tag of a registered model: lines and last hash of its ledger, so that a ledger that was cut shows."""


def find_model(client: MlflowClient, name: str) -> RegisteredModel | None:
    """None where MLflow has none of this name."""
    with suppress(MlflowException):
        return client.get_registered_model(name)
    return None


def new_name(client: MlflowClient, folder: Path) -> str:
    """The name of the registered model that remembers the end of this folder's ledger; empty where none does."""
    ledger = read_ledger(folder)
    for model in client.search_registered_models(max_results=1000):
        with suppress(ValueError):
            head = Head.parse(model.tags.get(HEAD_TAG, ""))
            if 0 < head.entries <= len(ledger.lines) and ledger.hash_at(head.entries) == head.hash:
                return str(model.name)
    return ""


def name_back(home: Home, model: str) -> None:
    """Give a registered model that was renamed in MLflow its name again, with a line: data, releases and ledger have it."""
    client, _ = open_store(home)
    if find_model(client, model) is None and (other := new_name(client, home.releases_of(model))):
        with suppress(MlflowException):  # another process was quicker
            client.rename_registered_model(other, model)
        current_progress.get().say(f"NOTE: the model {model} was renamed {other} in MLflow; it is {model} again")
