"""Registered models: versions, aliases, the ledger of alias moves and the release folders."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, Schema, TensorSpec

from modelyard.bundle import MODEL_FILE, Bundle, Manifest, as_json, open_bundle, read_bundle
from modelyard.errors import ParityError
from modelyard.files import folder_written_whole
from modelyard.home import Home
from modelyard.reading import pixel_contract
from modelyard.tracking.descriptions import model_description, version_description
from modelyard.tracking.store import open_store

MOST_EXAMPLE_VALUES = 2**18
"""MLflow keeps an example as JSON, 46 bytes a value (7 MB for a photo of 224 x 224); of larger images none is kept."""


@dataclass(frozen=True, slots=True)
class Version:
    """One registered version."""

    name: str
    number: int
    tags: dict[str, str]
    aliases: tuple[str, ...]
    run_id: str

    def as_row(self) -> dict[str, Any]:
        """What a list of models shows."""
        return {
            "name": self.name, "version": self.number, "architecture": self.tags.get("label", ""),
            "aliases": ", ".join(self.aliases), "validation %": round(100 * float(self.tags["validation_accuracy"]), 2),
        }  # fmt: skip


def log_bundle(home: Home, run_id: str, bundle: Path) -> str:
    """Log the bundle's model on the run and check the stored copy; gives the logged model's id."""
    import mlflow.onnx  # only who exports needs it and what it brings: promote and rollback do not
    import onnx
    import onnxruntime

    client, _ = open_store(home)
    found = read_bundle(bundle)
    contract = pixel_contract(found.manifest.image_shape, found.manifest.reading)
    metadata = {"bundle": bundle.name, "pixel_contract": contract, "classes": list(found.manifest.classes)}
    example_BHWC = found.samples()[0][:1]
    example = {"images": example_BHWC} if example_BHWC.size <= MOST_EXAMPLE_VALUES else None
    needed = [f"{package.__name__}=={package.__version__}" for package in (np, onnx, onnxruntime)]  # MLflow adds itself
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.onnx.log_model(
            onnx.load_from_string(found.model), name="model", signature=_signature(found.manifest), save_as_external_data=False,
            pip_requirements=needed, onnx_execution_providers=["CPUExecutionProvider"], model_type="classifier",
            input_example=example, metadata=metadata,
        )  # fmt: skip
    client.update_run(run_id, status="RUNNING")  # until its metrics are in
    _check_logged_copy(client, logged.model_id, found)
    return str(logged.model_id)


def find_registered(home: Home, bundle: Path) -> Version | None:
    """The version that is this very file of this very recipe, data, seed and code, if there is one."""
    manifest = open_bundle(bundle)
    wanted = {"onnx_sha256": manifest.files[MODEL_FILE], "bundle": bundle.name}
    known = versions(home, manifest.model_name)
    return next((version for version in known if wanted.items() <= version.tags.items()), None)


def register(home: Home, run_id: str, bundle: Path, model_id: str, tags: dict[str, str]) -> Version:
    """A new version of the data set's model."""
    client, _ = open_store(home)
    manifest = open_bundle(bundle)
    name, digest = manifest.model_name, manifest.files[MODEL_FILE]
    all_tags = tags | {"pixel_contract": as_json(pixel_contract(manifest.image_shape, manifest.reading))}
    all_tags |= {"architecture": manifest.architecture, "onnx_sha256": digest, "bundle": bundle.name}
    with FileLock(home.locks / "registry.lock"):
        with suppress(MlflowException):  # it is there already
            client.create_registered_model(name)
        if not client.get_registered_model(name).description:  # what somebody wrote stays
            client.update_registered_model(name, model_description(manifest))
        told = version_description(manifest)
        made = client.create_model_version(name, f"models:/{model_id}", run_id, all_tags, description=told, model_id=model_id)
    return Version(name, int(made.version), all_tags, (), run_id)


def _signature(manifest: Manifest) -> ModelSignature:
    classes = len(manifest.classes)
    outputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype(np.float32), (-1, classes), name) for name in ("logits", "probabilities")
    ]
    inputs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype(np.uint8), (-1, *manifest.image_shape), "images")]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _check_logged_copy(client: MlflowClient, model_id: str, bundle: Bundle) -> None:
    """MLflow can store a graph without its weights and call it READY: ask the stored copy once."""
    from modelyard.inference import classify, open_session

    location = Path(client.get_logged_model(model_id).artifact_location)
    images_BHWC, probabilities_BK = bundle.samples()
    found_BK = classify(open_session(location / MODEL_FILE), images_BHWC)
    if not np.allclose(found_BK, probabilities_BK, atol=1e-4):
        raise ParityError(f"the copy MLflow stored at {location} does not answer as {bundle.folder}; nothing was registered")


def model_names(home: Home) -> list[str]:
    """All registered models."""
    client, _ = open_store(home)
    return [model.name for model in client.search_registered_models()]


def versions(home: Home, name: str) -> list[Version]:
    """All versions of one model, oldest first; empty when it is unknown."""
    client, _ = open_store(home)
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException:
        return []
    found = client.search_model_versions(f"name='{name}'")
    made = [
        Version(
            name, int(v.version), dict(v.tags), tuple(a for a, n in aliases.items() if int(n) == int(v.version)), str(v.run_id)
        )
        for v in found
    ]
    return sorted(made, key=lambda version: version.number)


def registered_files(home: Home, name: str) -> dict[int, dict[str, str]]:
    """Version -> file name -> sha256: of the ONNX file alone, which is what the registry knows."""
    tags = {version.number: version.tags for version in versions(home, name)}
    return {number: {MODEL_FILE: told["onnx_sha256"]} for number, told in tags.items() if "onnx_sha256" in told}


def publish(home: Home, version: Version, bundle: Path) -> None:
    """Copy the bundle to where serving reads it; serving needs neither MLflow nor torch."""
    target = release_folder(home, version)
    if not target.exists():
        with folder_written_whole(target) as scratch:
            shutil.copytree(bundle, scratch, dirs_exist_ok=True)


def release_folder(home: Home, version: Version) -> Path:
    """The released bundle of a version."""
    return home.releases_of(version.name) / str(version.number)
