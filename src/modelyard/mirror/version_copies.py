"""Registered versions and aliases brought to a server.

Several stores may be mirrored to one server, so numbers there can be others; a tag says which version is
which.
"""

from __future__ import annotations

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.errors import RemoteError
from modelyard.mirror.remote import Link, asking
from modelyard.mirror.sent import LocalModel, Record, Sent

VERSION_TAG = "modelyard.local_version"


def send_versions(ends: Link, model: LocalModel, record: Record, sent: Sent) -> None:
    """The versions, in order, with tags, then the aliases that changed here since they were sent. Raises:
    RemoteError.
    """
    name, aliases = model.name, model.aliases
    with asking(ends.remote):
        _make_registered_model(ends.client, model)
        there = _versions_there(ends, name)
        numbers = {
            str(v.version): _send_version(ends, v, there, record.read(str(v.run_id))) for v in model.versions
        }
        for alias, number in aliases.items():
            if sent.aliases.get(alias) != number and numbers.get(number):
                ends.client.set_registered_model_alias(name, alias, numbers[number])
        for alias in set(sent.aliases) - set(aliases):
            ends.client.delete_registered_model_alias(name, alias)
    sent.aliases = dict(aliases)


def _make_registered_model(client: MlflowClient, model: LocalModel) -> None:
    """What somebody wrote there about it stays."""
    try:
        client.create_registered_model(model.name, description=model.description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        if model.description and not client.get_registered_model(model.name).description:
            client.update_registered_model(model.name, model.description)


def _versions_there(ends: Link, name: str) -> dict[str, list[ModelVersion]]:
    """Tag of a local version -> its copies, oldest first."""
    copies: dict[str, list[ModelVersion]] = {}
    for version in sorted(
        ends.client.search_model_versions(f"name='{name}'"), key=lambda version: int(version.version)
    ):
        copies.setdefault(version.tags.get(VERSION_TAG, ""), []).append(version)
    return copies


def _send_version(ends: Link, version: ModelVersion, there: dict[str, list[ModelVersion]], run: Sent) -> str:
    """The number of the version's one copy; empty when its run was deleted there."""
    tag = f"{ends.store}/{version.name}/{version.version}"
    copies = there.get(tag, [])
    for double in copies[1:]:
        ends.client.delete_model_version(version.name, double.version)
    if copies:
        for key, value in version.tags.items():
            if copies[0].tags.get(key) != value:
                ends.client.set_model_version_tag(version.name, copies[0].version, key, value)
        if version.description and not copies[0].description:
            ends.client.update_model_version(version.name, copies[0].version, version.description)
        return str(copies[0].version)
    model = run.models.get(str(version.source).removeprefix("models:/"))
    if run.fingerprint and not run.remote:
        return ""
    if model is None:
        raise RemoteError(f"version {version.version} of {version.name} waits for its run")
    made = ends.client.create_model_version(
        version.name,
        f"models:/{model}",
        run.remote,
        tags={**version.tags, VERSION_TAG: tag},
        model_id=model,
        description=version.description,
        await_creation_for=0,
    )
    return str(made.version)
