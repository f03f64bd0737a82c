"""The hand-off between training and serving: a folder of model.onnx, manifest.json and golden.npz."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import BundleError
from modelyard.files import sha256_of_file, write_json

SCHEMA_VERSION = 1
MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE = "model.onnx", "manifest.json", "golden.npz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says of itself. Not a pydantic model: that import costs each server process 13 MB and 0.15 s."""

    schema_version: int = SCHEMA_VERSION
    model_name: str
    """Registered name; one for each data set."""
    architecture: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    """Height, width, channels of the uint8 input."""
    temperature: float
    data_digest: str
    recipe: dict[str, Any]
    metrics: dict[str, float]
    environment: dict[str, str]
    """Package -> version that made the bundle."""
    files: dict[str, str]
    """File name -> sha256."""

    @classmethod
    def from_json(cls, value: object) -> Manifest:
        """The manifest in a parsed manifest.json. Raises: ValueError naming the fields that do not fit."""
        given: dict[str, Any] = value if isinstance(value, dict) else {}
        names = {field.name for field in fields(cls)}
        wrong = [*(names ^ set(given)), *(name for name in names & set(given) if not _fits(name, given[name]))]
        if wrong:
            raise ValueError(f"fields missing, unknown or of another type: {', '.join(sorted(wrong))}")
        height, width, channels = given["image_shape"]
        return cls(**given | {"classes": tuple(given["classes"]), "image_shape": (height, width, channels)})


def _is(value: object, *types: type) -> bool:
    """Whether all items of a list, or all values of a dict, have one of the types."""
    items = list(value.values()) if isinstance(value, dict) else value
    return isinstance(items, list) and all(isinstance(item, types) for item in items)


def _fits(name: str, value: object) -> bool:
    """Whether `value` may stand for this field of the manifest."""
    if name == "schema_version":
        return value == SCHEMA_VERSION
    if name in {"classes", "image_shape"}:
        whole = isinstance(value, list) and (name == "classes" or len(value) == 3)
        return whole and _is(value, str if name == "classes" else int)
    if name in {"recipe", "metrics", "environment", "files"}:
        types = {"recipe": (object,), "metrics": (float, int)}.get(name, (str,))
        return isinstance(value, dict) and _is(value, *types)
    return isinstance(value, float | int if name == "temperature" else str)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Seal the folder: record the digests of the other two files."""
    files = {name: sha256_of_file(folder / name) for name in (MODEL_FILE, GOLDEN_FILE)}
    write_json(folder / MANIFEST_FILE, asdict(replace(manifest, files=files)))


def open_bundle(folder: Path) -> Manifest:
    """The manifest of a bundle whose files are all as they were sealed.

    Raises: BundleError when a file is missing, altered or the manifest unreadable.
    """
    try:
        manifest = Manifest.from_json(json.loads((folder / MANIFEST_FILE).read_bytes()))
        found = {name: sha256_of_file(folder / name) for name in (MODEL_FILE, GOLDEN_FILE)}
    except (OSError, ValueError) as error:
        reason = error if isinstance(error, ValueError) else error.strerror
        raise BundleError(f"{folder} is not a whole bundle ({type(error).__name__}: {reason}); export it again") from error
    if altered := [name for name in found.keys() | manifest.files if found.get(name) != manifest.files.get(name)]:
        raise BundleError(f"{folder}: {', '.join(sorted(altered))} does not match the manifest; export it again")
    return manifest


def is_whole(folder: Path) -> bool:
    """Whether `folder` holds a bundle with every file as it was sealed."""
    try:
        open_bundle(folder)
    except BundleError:
        return False
    return True


def write_golden(folder: Path, images_BHWC: NDArray[np.uint8], probabilities_BK: NDArray[np.float32]) -> None:
    """Inputs and the answers torch gave for them."""
    np.savez_compressed(folder / GOLDEN_FILE, images=images_BHWC, probabilities=probabilities_BK)


def read_golden(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Images [B, H, W, C] and probabilities [B, K]."""
    with np.load(folder / GOLDEN_FILE, allow_pickle=False) as golden:
        return golden["images"], golden["probabilities"]


def read_metadata(model: Path) -> dict[str, str]:
    """The metadata inside an ONNX file (onnxruntime only)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    return {name: str(value) for name, value in metadata.items()}


def as_json(value: object) -> str:
    """Compact JSON for ONNX metadata."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
