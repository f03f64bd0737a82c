"""The manifest, one bundle of each schema: 3 has a signature, 2 the shape of images, 1 one way to read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.bundle import MANIFEST_FILE, read_bundle, write_manifest
from modelyard.errors import BundleError
from modelyard.samples.reading import Reading
from modelyard.serving.models.engine import Engine
from tests.bundles import lit_bundle
from tests.serving.bundles import reseal

PADDED = Reading("pad", 4095, (10, 20, 30))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return lit_bundle(tmp_path / "bundle", fooled=False, metrics={})


def rewritten(folder: Path, change: Any) -> Path:
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    return folder


def as_second(manifest: dict[str, Any]) -> dict[str, Any]:
    form = manifest["signature"]["form"]
    shape = {"image_shape": [form["height"], form["width"], form["channels"]], "schema_version": 2}
    return {name: value for name, value in manifest.items() if name != "signature"} | shape


def as_first(manifest: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in as_second(manifest).items() if name != "reading"}
    return kept | {"schema_version": 1}


def as_third(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest


SCHEMAS = {1: as_first, 2: as_second, 3: as_third}


def test_how_pictures_are_read_is_kept(folder: Path) -> None:
    reseal(folder, reading=PADDED)
    manifest = read_bundle(folder).manifest
    assert (manifest.schema_version, manifest.reading) == (3, PADDED)
    assert json.loads((folder / MANIFEST_FILE).read_text())["reading"] == {
        "fit": "pad", "white": 4095, "ground": [10, 20, 30],
    }  # fmt: skip


def test_the_signature_is_all_that_a_client_needs(folder: Path) -> None:
    assert json.loads((folder / MANIFEST_FILE).read_text())["signature"] == {
        "kind": "image",
        "form": {"channels": 1, "height": 3, "width": 5},
        "encoding": "pixels",
        "inputs": [
            {"name": "images", "dtype": "uint8",
             "axes": [["batch", None], ["height", 3], ["width", 5], ["channels", 1]]},
        ],
        "answer": "classes",
        "outputs": [
            {"name": name, "dtype": "float32", "axes": [["batch", None], ["class", 5]]}
            for name in ("logits", "probabilities")
        ],
    }  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_bundle_of_each_schema_is_read_and_served_alike(folder: Path, schema: int) -> None:
    before = read_bundle(folder)
    bundle = read_bundle(rewritten(folder, SCHEMAS[schema]))
    assert bundle.manifest == replace(before.manifest, schema_version=schema)
    for array, known in zip(bundle.samples(), before.samples(), strict=True):
        np.testing.assert_array_equal(array, known)
    engine, known_engine = (Engine(one, provider="CPUExecutionProvider") for one in (bundle, before))
    assert (engine.input, engine.outputs) == (known_engine.input, known_engine.outputs)
    write_manifest(folder, bundle.manifest)
    assert read_bundle(folder).manifest == before.manifest


def test_schema_1_read_images_in_one_way(folder: Path) -> None:
    reseal(folder, reading=PADDED)
    assert read_bundle(rewritten(folder, as_first)).manifest.reading == Reading("stretch", 65_535, (255,))


WRONG: list[dict[str, Any]] = [
    {"fit": "fill"},
    {"white": 0},
    {"white": 65_536},
    {"white": 1.5},
    {"ground": []},
    {"ground": [1, 2]},
    {"ground": [256]},
    {"ground": [True]},
    {"ground": "0"},
    {"more": 1},
    {"fit": ["pad"]},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_another_reading_is_refused(folder: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="export it again"):
        read_bundle(rewritten(folder, lambda manifest: manifest | {"reading": manifest["reading"] | wrong}))


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest | {"schema_version": 1},
        lambda manifest: as_first(manifest) | {"schema_version": 2},
        lambda manifest: as_second(manifest) | {"schema_version": 1},
        lambda manifest: as_second(manifest) | {"schema_version": 3},
        lambda manifest: manifest | {"schema_version": 2},
        lambda manifest: manifest | {"schema_version": 4},
        lambda manifest: manifest | {"schema_version": True},
        lambda manifest: manifest | {"schema_version": [3]},
        lambda manifest: as_first(manifest) | {"schema_version": 1.0},
        lambda manifest: as_second(manifest) | {"image_shape": [3, 5]},
        lambda manifest: as_second(manifest) | {"image_shape": [3, 5, True]},
        lambda manifest: as_second(manifest) | {"image_shape": [2**40, 5, 2]},
        lambda manifest: as_second(manifest) | {"image_shape": None},
        lambda manifest: manifest | {"signature": as_second(manifest)["image_shape"]},
        lambda manifest: manifest | {"reading": None},
    ],
)
def test_a_schema_has_its_own_fields(folder: Path, change: Any) -> None:
    with pytest.raises(BundleError, match="export it again"):
        read_bundle(rewritten(folder, change))
