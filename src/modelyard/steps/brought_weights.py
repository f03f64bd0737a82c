"""Brought weights, verified, matched and copied below `steps/`."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.data.splits import make_splits
from modelyard.errors import ConfigError
from modelyard.files import folder_written_whole, sha256_of_file, sha256_of_json, write_json
from modelyard.home import Home
from modelyard.models.brought import licence_of, read_tensors, weights_file
from modelyard.models.matching import Match, matched
from modelyard.models.network import renamed
from modelyard.models.normalised import NormalisedConfig
from modelyard.models.published import published
from modelyard.progress import current_progress
from modelyard.recipes.recipe import Recipe
from modelyard.recipes.weights import build_of, find_weights, stated_of
from modelyard.training.fitted import BUILD_FILE, WEIGHTS_FILE, Build
from modelyard.training.start import RECORD_FILE

READ_AS = "bilinear"
"""How pictures are brought to their size here."""


def bring_weights(recipe: Recipe, data: Path, home: Home) -> str:
    """The digest of the folder: of what is taken over. Raises: ConfigError, StoreError."""
    assert recipe.init is not None
    path, dataset = find_weights(recipe.init, home), open_packed(data, verify=False)
    before = build_of(path)
    source = Path(recipe.init).name
    _demand_stated(recipe, dataset, before)
    try:
        build = _build(recipe, dataset, before)
        match = _match(build, path, before)
    except ConfigError as error:
        raise ConfigError(f"init: {source}: {error}") from None
    file = path / WEIGHTS_FILE if before else weights_file(path)
    licence, content = licence_of(path), save(match.tensors)
    record = {"source": source, "sha256": sha256_of_file(file), "licence": asdict(licence), **match.record()}
    symbols = build.model_dump(mode="json", include={"symbols"})
    digest = sha256_of_json([hashlib.sha256(content).hexdigest(), symbols])
    folder = home.steps / f"weights-{digest[:16]}"
    if not folder.exists():
        with folder_written_whole(folder) as scratch:
            (scratch / WEIGHTS_FILE).write_bytes(content)
            write_json(scratch / BUILD_FILE, build.model_dump(mode="json"))
            write_json(scratch / RECORD_FILE, record)
    told = licence.name or licence.file or "none beside them"
    current_progress.get().say(f"NOTE: weights of {source} (licence: {told}): {match.told}")
    _say_interpolation(recipe, path, before)
    return digest


def _demand_stated(recipe: Recipe, dataset: Dataset, before: Build | None) -> None:
    model = recipe.model
    if before is None and dataset.form.size and isinstance(model, NormalisedConfig) and model.mean is None:
        raise ConfigError(
            f"init: {recipe.init}: expected the mean and deviation that these weights were trained with, of "
            "each channel from 0 to 1 (--set model.mean=[...] --set model.std=[...], or model.mean=none), "
            "received neither"
        )


def _build(recipe: Recipe, dataset: Dataset, before: Build | None) -> Build:
    """What builds the network, with the symbols that the weights know."""
    if before is None:
        return Build.of(recipe.model, make_splits(dataset, recipe.data).train, dataset.classes)
    if before.form.kind != dataset.form.kind:
        raise ConfigError(
            f"expected weights that were trained on {dataset.form.names.many}, received those of "
            f"{before.form.names.many}"
        )
    return Build(
        model=recipe.model, form=dataset.form, classes=dataset.classes, symbols=before.symbols
    )  # fmt: skip


def _match(build: Build, path: Path, before: Build | None) -> Match:
    """The head depends on the classes; it is taken over where they are the same."""
    with torch.random.fork_rng(devices=[]):
        network = build.network()
        more = build.model_copy(update={"classes": (*build.classes, "")}).network().state_dict()
    own = network.state_dict()
    heads = {name for name, tensor in own.items() if name not in more or more[name].shape != tensor.shape}
    if before is None:
        return matched(own, heads, _tensors(path), with_head=False)
    tensors = renamed(network, read_tensors(path / WEIGHTS_FILE))
    return matched(own, heads, tensors, with_head=before.classes == build.classes)


def _tensors(path: Path) -> dict[str, Tensor]:
    """By the names of ours, where others have other ones."""
    tensors, found = read_tensors(path), published(path)
    return found.renamed(tensors) if found else tensors


def _say_interpolation(recipe: Recipe, path: Path, before: Build | None) -> None:
    stated = None if before else stated_of(path, recipe.model)
    if stated and stated.interpolation not in {"", READ_AS}:
        current_progress.get().say(
            f"NOTE: these weights saw samples resized by {stated.interpolation} interpolation; here they are "
            f"resized by {READ_AS} interpolation"
        )
