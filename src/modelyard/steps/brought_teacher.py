"""A brought teacher: released versions or bundles, verified and copied below `steps/`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from modelyard.bundle import MANIFEST_FILE, MODEL_FILE, Bundle, read_bundle
from modelyard.data.packed import open_packed
from modelyard.errors import ConfigError
from modelyard.files import folder_written_whole, full_path, sha256_of_json, write_json
from modelyard.home import Home
from modelyard.inference.files import released_folder
from modelyard.recipes.recipe import Recipe
from modelyard.releases.folders import read_release
from modelyard.terminal.printable import shortened


def bring_teacher(recipe: Recipe, data: Path, home: Home) -> str:
    """The digest of the folder.

    Raises: ConfigError for one of other classes or samples, BundleError, StoreError.
    """
    assert recipe.distil is not None
    given = recipe.distil.teacher
    teachers = {word: _opened(word, home) for word in ([given] if isinstance(given, str) else given)}
    if not teachers:
        raise ConfigError("distil.teacher: expected NAME@ALIAS or a bundle's folder, received none")
    for word, bundle in teachers.items():
        _check(word, bundle, data)
    names = MODEL_FILE, MANIFEST_FILE
    digest = sha256_of_json([[bundle.digests[name] for name in names] for bundle in teachers.values()])
    folder = home.steps / f"teacher-{digest[:16]}"
    if not folder.exists():
        with folder_written_whole(folder) as scratch:
            for number, bundle in enumerate(teachers.values()):
                (scratch / f"{number:03}.onnx").write_bytes(bundle.model)
                write_json(scratch / f"{number:03}.json", asdict(bundle.manifest))
    return digest


def _opened(word: str, home: Home) -> Bundle:
    """Raises: StoreError, BundleError."""
    path = full_path(word)
    return read_bundle(path) if path.is_dir() else read_release(released_folder(home, word))


def _check(word: str, bundle: Bundle, data: Path) -> None:
    """Raises: ConfigError."""
    dataset, manifest = open_packed(data, verify=False), bundle.manifest
    if manifest.form != dataset.form:
        many = dataset.form.names.many
        raise ConfigError(
            f"distil.teacher {word}: expected a model of {many} of {dataset.form.extent}, received one of "
            f"{manifest.form.names.many} of {manifest.form.extent}; train one on these data"
        )
    if set(manifest.classes) != set(dataset.classes):
        other = sorted({*manifest.classes} ^ {*dataset.classes})[0]
        raise ConfigError(
            f"distil.teacher {word}: expected the {len(dataset.classes)} classes of the data, received "
            f"{len(manifest.classes)}, which differ in {shortened(other)!r}; train a teacher on these data"
        )
