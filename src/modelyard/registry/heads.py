"""The end of a model's ledger as the registry remembers it, in a tag, so that a ledger that was cut shows."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.home import Home
from modelyard.progress import current_progress
from modelyard.registry.vouching import HEAD_TAG, find_model
from modelyard.releases import ledger_writer
from modelyard.releases.ledger import Head, read_ledger
from modelyard.tracking.store import open_store


def registry_head(home: Home, model: str) -> dict[str, Head]:
    """The end of the ledger that the registry remembers. Raises: StoreError."""
    client, _ = open_store(home)
    return tagged_head(client, model)


def tagged_head(client: MlflowClient, model: str) -> dict[str, Head]:
    """Empty where the tag was deleted, or edited so that it says nothing."""
    model_there = find_model(client, model)
    with suppress(ValueError):
        return {"the registry": Head.parse(model_there.tags.get(HEAD_TAG, ""))} if model_there else {}
    return {}


def remember_head(client: MlflowClient, folder: Path) -> None:
    """Last of all, so that no head is ever ahead of its ledger."""
    head = read_ledger(folder).head
    ledger_writer.write_head(folder, head)
    try:
        if client.get_registered_model(folder.name).tags.get(HEAD_TAG) != str(head):
            client.set_registered_model_tag(folder.name, HEAD_TAG, str(head))
    except MlflowException:
        current_progress.get().say(
            f"NOTE: the registry did not remember the ledger of {folder.name}; the next move does"
        )
