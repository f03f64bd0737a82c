"""Recognising models and versions by ledger, file and release: names and tags anybody can edit in MLflow."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.bundle import MANIFEST_BYTES, MANIFEST_FILE, MODEL_FILE, Manifest
from modelyard.errors import StoreError
from modelyard.files import parse_json, read_regular, sha256_of_file
from modelyard.home import Home
from modelyard.progress import current_progress
from modelyard.releases.ledger import Head, models_with_ledger, read_ledger
from modelyard.tracking.store import open_store

SCORES = ("accuracy", "nll")
HEAD_TAG = "modelyard.ledger_head"
"""Tag of a registered model: lines and last hash of its ledger, so that a ledger that was cut shows."""


def all_models(client: MlflowClient) -> dict[str, RegisteredModel]:
    """By their names."""
    return {model.name: model for model in client.search_registered_models(max_results=1000)}


def find_model(client: MlflowClient, name: str) -> RegisteredModel | None:
    """None where MLflow has none of this name."""
    with suppress(MlflowException):
        return client.get_registered_model(name)
    return None


def renamed(models: Mapping[str, RegisteredModel], releases: Path) -> dict[str, str]:
    """Name -> the one it had before, of registered models that remember another ledger's end than that of
    their name.

    But for those whose former name somebody else's model has now.
    """
    heads = {name: model.tags.get(HEAD_TAG, "") for name, model in models.items()}
    strayed = {name: head for name, head in heads.items() if head and not _remembers(releases / name, head)}
    folders = [releases / name for name in models_with_ledger(releases)] if strayed else []
    found = {
        name: next((path.name for path in folders if _remembers(path, head)), "")
        for name, head in strayed.items()
    }
    return {
        name: former
        for name, former in found.items()
        if former and (former in strayed or former not in models)
    }


def _remembers(folder: Path, head: str) -> bool:
    """Whether this was an end of the folder's ledger."""
    with suppress(ValueError, StoreError):
        wanted, ledger = Head.parse(head), read_ledger(folder)
        return 0 < wanted.entries <= len(ledger.lines) and ledger.hash_at(wanted.entries) == wanted.hash
    return False


def restore_names(home: Home) -> None:
    """Undo renames of models in MLflow, with a line each: data and releases have the former names."""
    client, _ = open_store(home)
    found = renamed(all_models(client), home.releases)
    places = {
        name: f"{name}-{secrets.token_hex(3)}" if former in found else name for name, former in found.items()
    }
    with suppress(MlflowException):  # another process was quicker
        for name, place in places.items():
            if name != place:  # its former name is that of another, which goes, too
                client.rename_registered_model(name, place)
        for name, former in found.items():
            client.rename_registered_model(places[name], former)
            current_progress.get().say(
                f"NOTE: the model {former} was renamed {name} in MLflow; it is {former} again"
            )


def digest_of_stored(client: MlflowClient, found: ModelVersion) -> str:
    """Of the file that MLflow keeps; empty where it cannot be read."""
    with suppress(MlflowException, OSError):
        model_id = str(found.source).removeprefix("models:/")
        return sha256_of_file(Path(client.get_logged_model(model_id).artifact_location) / MODEL_FILE)
    return ""


def vouched_tags(release: Path, digest: str) -> dict[str, str]:
    """The tags that a release vouches for if its ONNX file has this digest."""
    try:
        manifest = Manifest.from_json(parse_json(read_regular(release / MANIFEST_FILE, MANIFEST_BYTES)))
    except (OSError, ValueError):
        return {}
    if manifest.files.get(MODEL_FILE) != digest:
        return {}
    scores = {
        name: repr(manifest.metrics[f"validation/{name}"])
        for name in SCORES
        if f"validation/{name}" in manifest.metrics
    }
    tags = {"architecture": manifest.architecture, "data_digest": manifest.data_digest, "onnx_sha256": digest}
    return tags | {f"validation_{name}": value for name, value in scores.items()}
