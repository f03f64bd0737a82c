"""The hand-off between training and serving: a folder of model.onnx, manifest.json and golden.npz."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from modelyard.errors import BundleError
from modelyard.files import STEP_FILE, is_plain_name, parse_json, read_regular, sha256_of_file, write_json
from modelyard.samples.reading import Reading

SCHEMA_VERSION, FIRST_SCHEMA = 2, 1
MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE = "model.onnx", "manifest.json", "golden.npz"
MODEL_BYTES, MANIFEST_BYTES, GOLDEN_BYTES = 2**31, 4 * 2**20, 256 * 2**20
"""Nothing larger is read; protobuf allows no larger model."""
GOLDEN_ROWS = 256
PARITY_TOLERANCE = 1e-4
"""Largest absolute difference of a probability between a graph and what it was made from, or between two
machines; float32 kernels of two libraries differ by about 1e-6."""
LARGEST_IMAGE, MOST_CLASSES = 2**26, 2**17
ALONE = "latency/alone"
"""Metric: 1.0 where no training of the same store ran beside the measurement of latencies, else 0.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says of itself. Not a pydantic model: that import costs each server process 13 MB and
    0.15 s.
    """

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
    """File name -> sha256 of every file of the bundle but the manifest; no other may lie beside them."""
    reading: Reading = field(default_factory=Reading)
    """How pictures become its input; schema 1 had but one way."""

    @classmethod
    def from_json(cls, value: object) -> Manifest:
        """The manifest in a parsed manifest.json. Raises: ValueError naming the fields that do not fit."""
        given: dict[str, Any] = value if isinstance(value, dict) else {}
        is_first = given.get("schema_version") == FIRST_SCHEMA
        names = {field.name for field in fields(cls)} - ({"reading"} if is_first else set())
        wrong = [
            *(names ^ set(given)),
            *(name for name in names & set(given) if not FITS.get(name, _is_name)(given[name])),
        ]
        if wrong:
            raise ValueError(f"fields missing, unknown or of another type: {', '.join(sorted(wrong))}")
        height, width, channels = given["image_shape"]
        reading = Reading() if is_first else Reading.from_json(given["reading"])
        told = {
            "classes": tuple(given["classes"]),
            "image_shape": (height, width, channels),
            "reading": reading,
        }
        return cls(**given | told)


def _is_text(value: object) -> bool:
    """Whether any client can be told of it: half a surrogate pair has no UTF-8."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


def _is_number(value: object) -> bool:
    """Whether any client can be told of it: finite or of 64 bits, no truth value."""
    return abs(value) < 2**63 if type(value) is int else isinstance(value, float) and math.isfinite(value)


def _is_table(value: object, fits: Callable[[object], bool]) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value)) and all(map(fits, value.values()))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and is_plain_name(value)


FITS: dict[str, Callable[[Any], bool]] = {
    "schema_version": lambda value: type(value) is int and value in {FIRST_SCHEMA, SCHEMA_VERSION},
    "classes": lambda value: (
        isinstance(value, list)
        and all(map(_is_text, value))
        and 0 < len(value) == len(set(value)) <= MOST_CLASSES
    ),
    "image_shape": lambda value: (
        isinstance(value, list)
        and [type(side) for side in value] == [int] * 3
        and min(value) > 0
        and math.prod(value) <= LARGEST_IMAGE
    ),
    "temperature": lambda value: _is_number(value) and value > 0,
    "recipe": lambda value: isinstance(value, dict),
    "metrics": lambda value: _is_table(value, _is_number),
    "environment": lambda value: _is_table(value, _is_text),
    "files": lambda value: _is_table(value, _is_text) and all(map(is_plain_name, value)),
    "reading": lambda value: isinstance(value, dict),
}
"""Whether a value may stand for a field of the manifest; the others are names."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's content, in memory: what is used is what was checked, whatever becomes of the files."""

    folder: Path
    manifest: Manifest
    digests: dict[str, str]
    """File name -> sha256 of every file, the manifest too."""
    model: bytes
    golden: bytes
    is_recorded: bool = False
    """Whether the ledger of its model was asked and knows these digests."""

    def samples(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Golden images [B, H, W, C] and probabilities [B, K]. Raises: BundleError; no more is unpacked than
        they may be.
        """
        try:
            with zipfile.ZipFile(BytesIO(self.golden)) as archive:
                images_BHWC = _array(archive, "images", self.manifest.image_shape, np.uint8)
                classes = (len(self.manifest.classes),)
                probabilities_BK = _array(
                    archive, "probabilities", classes, np.float32, np.float64
                )  # numpy's own floats, too
        except Exception as error:  # zipfile, zlib and numpy have a dozen kinds
            raise BundleError(
                f"{self.folder}: {GOLDEN_FILE} cannot be read ({str(error)[:200]}); export it again"
            ) from error
        return images_BHWC, probabilities_BK.astype(np.float32)


def _array(
    archive: zipfile.ZipFile, name: str, row: tuple[int, ...], *types: type[np.generic]
) -> NDArray[Any]:
    """An array of rows like `row`; whatever its header or the archive's directory says, no more bytes are
    unpacked.
    """
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError(f"{name} is packed in another way than numpy's")
    with archive.open(member) as stream:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError(f"{name} is of another format than 1.0")
        shape, by_column, found = npy.read_array_header_1_0(stream)
        size = math.prod(shape) * found.itemsize
        fits = found in types and not by_column and shape[1:] == row and 0 < shape[0] <= GOLDEN_ROWS
        if not fits or size > GOLDEN_BYTES:
            raise ValueError(
                f"expected at most {GOLDEN_ROWS} {name} of {list(row)}, received {list(shape)} of {found}"
            )
        content = stream.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} has another length than its header says")
    return np.frombuffer(content, found).reshape(shape)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Seal the folder: record the digests of the other two files."""
    files = {name: sha256_of_file(folder / name) for name in (MODEL_FILE, GOLDEN_FILE)}
    write_json(folder / MANIFEST_FILE, asdict(replace(manifest, files=files, schema_version=SCHEMA_VERSION)))


def read_bundle(folder: Path) -> Bundle:
    """A bundle whose files are all as they were sealed, and no others but a step's record.

    Raises: BundleError when a file is missing, altered, too much or too large, or the manifest unreadable.
    """
    try:
        text = read_regular(folder / MANIFEST_FILE, MANIFEST_BYTES)
        manifest = Manifest.from_json(parse_json(text))
        model, golden = (
            read_regular(folder / MODEL_FILE, MODEL_BYTES),
            read_regular(folder / GOLDEN_FILE, GOLDEN_BYTES),
        )
        held = {MANIFEST_FILE: text, MODEL_FILE: model, GOLDEN_FILE: golden}
        found = {name: hashlib.sha256(content).hexdigest() for name, content in held.items()}
        for name in manifest.files.keys() - found.keys():
            found[name] = hashlib.sha256(read_regular(folder / name, GOLDEN_BYTES)).hexdigest()
        unlisted = {path.name for path in folder.iterdir()} - found.keys() - {STEP_FILE}
    except (OSError, ValueError) as error:
        reason = str(error if isinstance(error, ValueError) else error.strerror)[:200]
        raise BundleError(
            f"{folder} is not a whole bundle ({type(error).__name__}: {reason}); export it again"
        ) from error
    if unlisted:
        raise BundleError(
            f"{folder} holds {min(unlisted)!r}, which its manifest does not list; delete it or "
            "export it again"
        )
    if altered := dict(
        found.items() - {MANIFEST_FILE: found[MANIFEST_FILE]}.items() ^ manifest.files.items()
    ):
        raise BundleError(
            f"{folder}: {', '.join(sorted(altered))} does not match the manifest; export it again"
        )
    return Bundle(folder, manifest, found, model, golden)


def open_bundle(folder: Path) -> Manifest:
    """The manifest of a whole bundle. Raises: BundleError (`read_bundle`)."""
    return read_bundle(folder).manifest


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


def as_json(value: object) -> str:
    """Compact JSON for ONNX metadata."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
