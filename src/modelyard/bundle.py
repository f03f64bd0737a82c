"""The hand-off between training and serving: a folder of model.onnx, manifest.json, golden.npz and, where an
input needs one, what makes it (tokenizer.json).
"""

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
from numpy.typing import NDArray

from modelyard.errors import BundleError, ConfigError
from modelyard.files import is_plain_name, parse_json, read_regular, sha256_of_file, write_json
from modelyard.samples import AnyReading, Form, ImageForm
from modelyard.samples.golden import GOLDEN_BYTES, read_array
from modelyard.samples.names import PROBABILITIES
from modelyard.samples.reading import AS_EVER
from modelyard.samples.signature import Signature
from modelyard.samples.tensors import Encoding
from modelyard.seals import STEP_FILE

SCHEMA_VERSION = 3
MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE = "model.onnx", "manifest.json", "golden.npz"
MODEL_BYTES, MANIFEST_BYTES, OTHER_BYTES = 2**31, 4 * 2**20, 64 * 2**20
"""Nothing larger is read; protobuf allows no larger model."""

PARITY_TOLERANCE = 1e-4
"""Largest absolute difference of a probability between a graph and what it was made from, or between two
machines; float32 kernels of two libraries differ by about 1e-6."""
MOST_CLASSES = 2**17
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
    signature: Signature
    """Of its graph; schemas 1 and 2 had the height, width and channels of images instead (`image_shape`)."""
    temperature: float
    data_digest: str
    recipe: dict[str, Any]
    metrics: dict[str, float]
    environment: dict[str, str]
    """Package -> version that made the bundle."""
    files: dict[str, str]
    """File name -> sha256 of every file of the bundle but the manifest; no other may lie beside them."""
    reading: AnyReading = AS_EVER
    """How files become its input; schema 1 had but one way."""

    @classmethod
    def from_json(cls, value: object) -> Manifest:
        """The manifest in a parsed manifest.json. Raises: ValueError naming the fields that do not fit."""
        given: dict[str, Any] = value if isinstance(value, dict) else {}
        version = given.get("schema_version")
        lacks, had = EARLIER.get(version if type(version) is int else 0, (set(), set()))
        names = {field.name for field in fields(cls)} - lacks | had
        wrong = [
            *(names ^ set(given)),
            *(name for name in names & set(given) if not FITS.get(name, _is_name)(given[name])),
        ]
        if wrong:
            raise ValueError(f"fields missing, unknown or of another type: {', '.join(sorted(wrong))}")
        told = {name: value for name, value in given.items() if name not in had}
        told["classes"], count = tuple(given["classes"]), len(given["classes"])
        if "signature" in given:
            told["signature"] = Signature.from_json(given["signature"], count)
        else:
            told["signature"] = Signature.of_classifier(ImageForm.from_hwc(given["image_shape"]), count)
        if "reading" in given:
            told["reading"] = told["signature"].form.reading_from_json(given["reading"])
        return cls(**told)

    @property
    def form(self) -> Form:
        """What one sample is."""
        return self.signature.form

    def contract(self) -> dict[str, Any]:
        """All that turns a file into its input."""
        form: Any = self.form  # whose own reading it is
        contract: dict[str, Any] = form.contract(self.reading)
        return contract


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


EARLIER: dict[int, tuple[set[str], set[str]]] = {
    1: ({"signature", "reading"}, {"image_shape"}),
    2: ({"signature"}, {"image_shape"}),
}
"""Earlier schema -> fields of today's that it lacks, and those that it had instead."""
FITS: dict[str, Callable[[Any], bool]] = {
    "schema_version": lambda value: type(value) is int and value in {*EARLIER, SCHEMA_VERSION},
    "classes": lambda value: (
        isinstance(value, list)
        and all(map(_is_text, value))
        and 0 < len(value) == len(set(value)) <= MOST_CLASSES
    ),
    "image_shape": lambda value: isinstance(value, list),
    "signature": lambda value: isinstance(value, dict),
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
    others: dict[str, bytes] = field(default_factory=dict)
    """File name -> content of what makes its input."""
    is_recorded: bool = False
    """Whether the ledger of its model was asked and knows these digests."""

    @property
    def encoding(self) -> Encoding:
        """What makes the graph's input of samples. Raises: BundleError."""
        try:
            return self.manifest.signature.taken(self.others)
        except ConfigError as error:
            raise BundleError(f"{self.folder}: {error}") from error

    def samples(self) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Golden samples as the graph takes them [B, ...], and probabilities [B, K].

        Raises: BundleError; no more is unpacked than they may be.
        """
        taken, classes = self.manifest.signature.input, (len(self.manifest.classes),)
        form, encoding = self.manifest.form, self.encoding
        try:
            with zipfile.ZipFile(BytesIO(self.golden)) as archive:
                kept = read_array(archive, taken.name, form.golden_row, np.uint8)
                raw = form.from_golden(kept, encoding)
                probabilities_BK = read_array(archive, PROBABILITIES, classes, np.float32, np.float64)
        except Exception as error:  # zipfile, zlib and numpy have a dozen kinds
            raise BundleError(
                f"{self.folder}: {GOLDEN_FILE} cannot be read ({str(error)[:200]}); export it again"
            ) from error
        return raw, probabilities_BK.astype(np.float32)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Seal the folder: record the digests of the other files."""
    names = MODEL_FILE, GOLDEN_FILE, *manifest.signature.files
    files = {name: sha256_of_file(folder / name) for name in names}
    write_json(folder / MANIFEST_FILE, asdict(replace(manifest, files=files, schema_version=SCHEMA_VERSION)))


def read_bundle(folder: Path) -> Bundle:
    """A bundle whose files are all as they were sealed, and no others but a step's record.

    Raises: BundleError when a file is missing, altered, too much or too large, or the manifest unreadable.
    """
    try:
        text = read_regular(folder / MANIFEST_FILE, MANIFEST_BYTES)
        manifest = Manifest.from_json(parse_json(text))
        model = read_regular(folder / MODEL_FILE, MODEL_BYTES)
        golden = read_regular(folder / GOLDEN_FILE, GOLDEN_BYTES)
        others = {name: read_regular(folder / name, OTHER_BYTES) for name in manifest.signature.files}
        held = {MANIFEST_FILE: text, MODEL_FILE: model, GOLDEN_FILE: golden} | others
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
    return Bundle(folder, manifest, found, model, golden, others)


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


def write_golden(folder: Path, name: str, kept: NDArray[Any], probabilities_BK: NDArray[np.float32]) -> None:
    """Samples as their form keeps golden ones, by the input's name, and the answers that the model gave."""
    arrays = {name: kept, PROBABILITIES: probabilities_BK}
    np.savez_compressed(folder / GOLDEN_FILE, allow_pickle=False, **arrays)


def as_json(value: object) -> str:
    """Compact JSON for ONNX metadata."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
