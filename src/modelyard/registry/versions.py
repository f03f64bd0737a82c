"""Registered models: versions, aliases, the ledger of alias moves and the release folders."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec

from modelyard.bundle import MODEL_FILE, PARITY_TOLERANCE, Bundle, as_json, open_bundle, read_bundle
from modelyard.errors import ParityError
from modelyard.files import folder_written_whole, is_plain_name
from modelyard.home import Home
from modelyard.registry.descriptions import model_description, version_description
from modelyard.registry.lineage import last_moves
from modelyard.registry.vouching import all_models, digest_of_stored, find_model, vouched_tags
from modelyard.releases.folders import known_versions
from modelyard.releases.ledger import Ledger, read_ledger
from modelyard.samples import tensors as samples
from modelyard.samples.signature import Signature
from modelyard.seals import STEP_FILE
from modelyard.tracking.mlflow_internals import requirements_as_given
from modelyard.tracking.store import open_for_writing, open_store

MOST_EXAMPLE_VALUES = 2**18
"""MLflow keeps an example as JSON, 46 bytes a value (7 MB for a photo of 224 x 224); of larger images none is
kept.
"""


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version."""

    name: str
    number: int
    tags: dict[str, str]
    """MLflow's, but for those that its release vouches for."""
    aliases: tuple[str, ...]
    """By the ledger; by MLflow those that the ledger does not know."""
    run_id: str
    """Empty for one that MLflow has no more."""
    edited: Mapping[str, str] = field(default_factory=dict)
    """Tags that MLflow has otherwise, or no more, as they should be."""

    @property
    def is_lost(self) -> bool:
        """Whether only its release is left."""
        return not self.run_id

    @property
    def digest(self) -> str:
        """sha256 of its ONNX file; empty where nobody knows."""
        return self.tags.get("onnx_sha256", "")

    def score(self, name: str) -> float:
        """A score among its tags; 0 where it was removed or is no number."""
        with suppress(KeyError, ValueError):
            return float(self.tags[name])
        return 0.0

    def as_row(self) -> dict[str, Any]:
        """What a list of models shows."""
        return {
            "name": self.name,
            "version": self.number,
            "architecture": self.tags.get("label", self.tags.get("architecture", "")),
            "aliases": ", ".join(self.aliases),
            "validation %": round(100 * self.score("validation_accuracy"), 2),
        }


def log_bundle(home: Home, run_id: str, bundle: Path) -> str:
    """Log the bundle's model on the run and check the stored copy; gives the logged model's id."""
    import mlflow.onnx  # only who exports needs it and what it brings: promote and rollback do not
    import onnx
    import onnxruntime

    client, _ = open_for_writing(home, run_id)
    found = read_bundle(bundle)
    contract = {found.manifest.form.names.contract: found.manifest.contract()}
    metadata = {"bundle": bundle.name, **contract, "classes": list(found.manifest.classes)}
    name, first = found.manifest.signature.input.name, found.samples()[0][:1]
    example = {name: first} if first.size <= MOST_EXAMPLE_VALUES else None
    needed = [
        f"{package.__name__}=={package.__version__}" for package in (np, onnx, onnxruntime)
    ]  # MLflow adds itself
    with requirements_as_given(), mlflow.start_run(run_id=run_id):
        logged = mlflow.onnx.log_model(
            onnx.load_from_string(found.model),
            name="model",
            signature=_signature(found.manifest.signature),
            save_as_external_data=False,
            pip_requirements=needed,
            onnx_execution_providers=["CPUExecutionProvider"],
            model_type="classifier",
            input_example=example,
            metadata=metadata,
        )
    client.update_run(run_id, status="RUNNING")  # until its metrics are in
    _check_logged_copy(client, logged.model_id, found)
    return str(logged.model_id)


def find_registered(home: Home, bundle: Path) -> Version | None:
    """The version that is this very file of this very recipe, data, seed and code, if there is one."""
    manifest = open_bundle(bundle)
    wanted = {"onnx_sha256": manifest.files[MODEL_FILE], "bundle": bundle.name}
    ledger = read_ledger(home.releases_of(manifest.model_name))
    same = [
        version for version in versions(home, manifest.model_name) if wanted.items() <= version.tags.items()
    ]
    return next((v for v in same if v.number not in ledger.gone and ledger.knows(v.number, v.digest)), None)


def register(home: Home, run_id: str, bundle: Path, model_id: str, tags: dict[str, str]) -> Version:
    """A new version of the data set's model."""
    client, _ = open_store(home)
    manifest = open_bundle(bundle)
    name, digest = manifest.model_name, manifest.files[MODEL_FILE]
    all_tags = tags | {manifest.form.names.contract: as_json(manifest.contract())}
    all_tags |= {"architecture": manifest.architecture, "onnx_sha256": digest, "bundle": bundle.name}
    with FileLock(home.locks / "registry.lock"):
        with suppress(MlflowException):  # it is there already
            client.create_registered_model(name)
        if not client.get_registered_model(name).description:  # what somebody wrote stays
            client.update_registered_model(name, model_description(manifest))
        taken = {
            *map(int, known_versions(home.releases, name)),
            *read_ledger(home.releases_of(name)).registered,
        }
        told, source = version_description(manifest), f"models:/{model_id}"
        while True:
            made = client.create_model_version(
                name, source, run_id, all_tags, description=told, model_id=model_id
            )
            if int(made.version) > max(taken, default=0):
                return Version(name, int(made.version), all_tags, (), run_id)
            client.delete_model_version(
                name, made.version
            )  # MLflow began to count anew: another model has this number


def _signature(signature: Signature) -> ModelSignature:
    """As MLflow has it: -1 is a free axis."""

    def schema(specs: Iterable[samples.TensorSpec]) -> Schema:
        return Schema(
            [
                TensorSpec(np.dtype(spec.dtype), tuple(-1 if n is None else n for n in spec.shape), spec.name)
                for spec in specs
            ]
        )

    return ModelSignature(schema(signature.inputs), schema(signature.outputs))


def _check_logged_copy(client: MlflowClient, model_id: str, bundle: Bundle) -> None:
    """MLflow can store a graph without its weights and call it READY: ask the stored copy once."""
    from modelyard.inference.session import classify, open_session

    location = Path(client.get_logged_model(model_id).artifact_location)
    raw, probabilities_BK = bundle.samples()
    found_BK = classify(open_session(location / MODEL_FILE), raw)
    if not np.allclose(found_BK, probabilities_BK, atol=PARITY_TOLERANCE):
        raise ParityError(
            f"the copy MLflow stored at {location} does not answer as {bundle.folder}; nothing was registered"
        )


def model_names(home: Home) -> list[str]:
    """All registered models."""
    client, _ = open_store(home)
    return list(all_models(client))


def versions(home: Home, name: str) -> list[Version]:
    """All versions of one model, oldest first; empty when it is unknown."""
    client, _ = open_store(home)
    return registered(client, home.releases / name, find_model(client, name))


def registered(client: MlflowClient, folder: Path, model: RegisteredModel | None) -> list[Version]:
    """The versions of the model of a release folder, oldest first; empty when MLflow has none."""
    if model is None:
        return []
    ledger = read_ledger(folder) if is_plain_name(folder.name) else Ledger()
    aliases = model.aliases | {alias: move.to for alias, move in last_moves(ledger.moves).items()}
    made = [
        _version(client, folder, ledger, aliases, found)
        for found in client.search_model_versions(f"name={folder.name!r}")
    ]
    return sorted(made, key=lambda version: version.number)


def _version(
    client: MlflowClient, folder: Path, ledger: Ledger, aliases: Mapping[str, Any], found: ModelVersion
) -> Version:
    number, digest = int(found.version), found.tags.get("onnx_sha256", "")
    if not (digest and ledger.knows(number, digest)):  # another file, or somebody edited the tag
        digest = digest_of_stored(client, found) or digest
    vouched = vouched_tags(folder / str(number), digest)
    names = [
        alias
        for alias, to in aliases.items()
        if to is not None and int(to) == number and ledger.knows(number, digest)
    ]
    edited = {name: value for name, value in vouched.items() if found.tags.get(name) != value}
    return Version(folder.name, number, {**found.tags, **vouched}, tuple(names), str(found.run_id), edited)


def publish(home: Home, version: Version, bundle: Path) -> None:
    """Copy the bundle to where serving reads it; serving needs neither MLflow nor torch."""
    target = release_folder(home, version)
    if not target.exists():
        with folder_written_whole(target) as scratch:
            shutil.copytree(bundle, scratch, ignore=shutil.ignore_patterns(STEP_FILE), dirs_exist_ok=True)


def release_folder(home: Home, version: Version) -> Path:
    """The released bundle of a version."""
    return home.releases_of(version.name) / str(version.number)
