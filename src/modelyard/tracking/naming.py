"""A registered model that somebody renamed or deleted in MLflow: found again by what it carries with it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.bundle import MODEL_FILE
from modelyard.home import Home
from modelyard.ledger import LEDGER_FILE, Head, Ledger, read_ledger
from modelyard.progress import current_progress
from modelyard.tracking.store import open_store

HEAD_TAG = "modelyard.ledger_head"
"""Tag of a registered model: lines and last hash of its ledger, so that a ledger that was cut shows."""


def is_missing(client: MlflowClient, model: str) -> bool:
    """Whether no registered model has this name. Raises: MlflowException when nobody can tell."""
    return model not in {found.name for found in client.search_registered_models()}


def new_name(client: MlflowClient, folder: Path) -> str | None:
    """Under which name MLflow has the model of a release folder, where it has none of its own name.

    It carries the end of its ledger as a tag; where that was removed its versions' digests tell.
    """
    ledger = read_ledger(folder)
    others = [found for found in client.search_registered_models() if found.name != folder.name] if ledger.lines else []
    for other in others:
        with suppress(ValueError):
            head = Head.parse(other.tags.get(HEAD_TAG, ""))
            if 0 < head.entries <= len(ledger.lines) and ledger.hash_at(head.entries) == head.hash:
                return str(other.name)
    unclaimed = [other.name for other in others if not (folder.parent / other.name / LEDGER_FILE).exists()]
    return next((str(name) for name in unclaimed if _has_our_files(client, ledger, name)), None)


def _has_our_files(client: MlflowClient, ledger: Ledger, name: str) -> bool:
    found = client.search_model_versions(f"name={name!r}")
    return any(v.tags.get("onnx_sha256", "none") == ledger.files_of(int(v.version)).get(MODEL_FILE) for v in found)


def name_back(home: Home, model: str) -> None:
    """Give a registered model that was renamed in MLflow its name again, with a line: data, releases and ledger have it."""
    client, _ = open_store(home)
    with suppress(MlflowException):  # another process was quicker
        if is_missing(client, model) and (other := new_name(client, home.releases_of(model))):
            client.rename_registered_model(other, model)
            current_progress.get().say(f"NOTE: the model {model} was renamed {other} in MLflow; it is {model} again")
