"""The manifest: schema 2 says how pictures are read, schema 1 had one way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelyard.bundle import MANIFEST_FILE, read_bundle, write_manifest
from modelyard.errors import BundleError
from modelyard.samples.reading import Reading
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


def as_first(manifest: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in manifest.items() if name != "reading"} | {"schema_version": 1}


def test_how_pictures_are_read_is_kept(folder: Path) -> None:
    reseal(folder, reading=PADDED)
    manifest = read_bundle(folder).manifest
    assert (manifest.schema_version, manifest.reading) == (2, PADDED)
    assert json.loads((folder / MANIFEST_FILE).read_text())["reading"] == {
        "fit": "pad", "white": 4095, "ground": [10, 20, 30],
    }  # fmt: skip


def test_a_bundle_of_schema_1_is_read_as_it_was_and_becomes_one_of_schema_2(folder: Path) -> None:
    manifest = read_bundle(rewritten(folder, as_first)).manifest
    assert manifest.reading == Reading("stretch", 65_535, (255,))
    write_manifest(folder, replace(manifest))
    assert read_bundle(folder).manifest.schema_version == 2


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
        lambda manifest: manifest | {"schema_version": 3},
        lambda manifest: manifest | {"schema_version": True},
        lambda manifest: manifest | {"reading": None},
    ],
)
def test_a_schema_has_its_own_fields(folder: Path, change: Any) -> None:
    with pytest.raises(BundleError, match="export it again"):
        read_bundle(rewritten(folder, change))
