"""What is known of a version beside its tags, which anybody can remove or edit: its file, and its release."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.bundle import MANIFEST_BYTES, MANIFEST_FILE, MODEL_FILE, Manifest
from modelyard.files import parse_json, read_regular, sha256_of_file

SCORES = ("accuracy", "nll")


def digest_of_stored(client: MlflowClient, found: ModelVersion) -> str:
    """Of the file that MLflow keeps; empty where it cannot be read."""
    with suppress(MlflowException, OSError):
        model_id = str(found.source).removeprefix("models:/")
        return sha256_of_file(Path(client.get_logged_model(model_id).artifact_location) / MODEL_FILE)
    return ""


def told_by_release(release: Path, digest: str) -> dict[str, str]:
    """The tags that a release vouches for if its ONNX file has this digest."""
    try:
        manifest = Manifest.from_json(parse_json(read_regular(release / MANIFEST_FILE, MANIFEST_BYTES)))
    except (OSError, ValueError):
        return {}
    if manifest.files.get(MODEL_FILE) != digest:
        return {}
    scores = {name: repr(manifest.metrics[f"validation/{name}"]) for name in SCORES if f"validation/{name}" in manifest.metrics}
    tags = {"architecture": manifest.architecture, "data_digest": manifest.data_digest, "onnx_sha256": digest}
    return tags | {f"validation_{name}": value for name, value in scores.items()}
