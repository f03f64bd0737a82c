"""Data made ready, and models tried, before anything is recorded."""

from __future__ import annotations

import tempfile
from pathlib import Path

from modelyard.bundle import MODEL_FILE
from modelyard.data.packed import open_packed, pack
from modelyard.data.splits import DataConfig, make_splits
from modelyard.export.cores import core_of
from modelyard.export.onnx import DeployedModel, export_onnx
from modelyard.home import Home
from modelyard.inspection.profile import kept_profile
from modelyard.models import CustomConfig
from modelyard.progress import current_progress
from modelyard.recipes.recipe import Recipe
from modelyard.recipes.request import CompareRequest
from modelyard.sources.sources import load_dataset
from modelyard.steps.brought import Brought
from modelyard.steps.naming import champions_size, model_name
from modelyard.steps.nodes import train_node
from modelyard.steps.requests import BuildRequest
from modelyard.training.slices import TrainSlice
from modelyard.training.unlabelled import GIVEN, training_splits


def prepare(  # noqa: PLR0913 - what a request says of its data
    dataset: str,
    home: Home,
    data: DataConfig | None = None,
    *,
    skip_unreadable: bool = False,
    name: str = "",
    claim: bool = False,
) -> dict[str, str]:
    """Verify and pack the data, once for the whole run; gives step name, digest and the model's name
    (`naming.py`).

    Photos are brought to the size of the champion that the model has.
    """
    data = data or DataConfig()
    options = data.folder_options(
        skip_unreadable=skip_unreadable, size_before=champions_size(home, dataset, name)
    )
    loaded = load_dataset(dataset, options, current_progress.get().work)
    if dataset == "auto" and loaded.name != "mnist":
        current_progress.get().say(
            f"NOTE: no mnist on this machine, this run uses {loaded.name} (modelyard data list)"
        )
    for note in loaded.origin.get("notes", []):
        current_progress.get().say(f"NOTE: {note}")
    make_splits(loaded, data)
    folder = home.data_step(loaded.digest)
    kept_profile(home, pack(loaded, folder))
    chosen = model_name(home, dataset, loaded, name, claim=claim)
    return {"data_step": folder.name, "data_digest": loaded.digest, "dataset": chosen}


def build_requests(request: CompareRequest, prepared: dict[str, str], home: Home) -> list[BuildRequest]:
    """One for each architecture, on the data of `prepare`. Raises: ConfigError when one that is not ours
    cannot be built.
    """
    data, brought = home.steps / prepared["data_step"], Brought(home)
    return [
        BuildRequest(
            recipe=with_first_weights(recipe, data),
            brought=brought.of(recipe, data),
            label=label,
            seed=request.seed,
            device=request.device,
            in_process=request.in_process,
            dataset_requested=request.dataset,
            **prepared,
        )
        for label, recipe in request.recipes.items()
    ]


def with_first_weights(recipe: Recipe, data_folder: Path) -> Recipe:
    """The recipe; of a model that is not ours, with the digest of its first weights. Raises: ConfigError."""
    if not isinstance(recipe.model, CustomConfig):
        return recipe
    dataset = open_packed(data_folder, verify=False)
    return recipe.model_copy(update={"model": recipe.model.started(dataset.form, len(dataset.classes))})


def _unlabelled(request: BuildRequest, home: Home) -> Path | None:
    given = (node.folder(home) for node in train_node(request).parents if node.step.name == GIVEN)
    return next(given, None)


def check_model(request: BuildRequest, home: Home) -> None:
    """Build the model before anything is recorded; one that is not ours is tried in training and exported
    untrained, too.

    Raises: ConfigError, ExportError.
    """
    dataset = open_packed(home.steps / request.data_step, verify=False)
    config, form = request.recipe.model, dataset.form
    if not config.is_network:
        return
    make = config.check if isinstance(config, CustomConfig) else config.build
    model, slice = make(form, len(dataset.classes)), train_node(request).slice
    if isinstance(slice, TrainSlice):
        training_splits(dataset, slice, _unlabelled(request, home))
    if request.recipe.pretrain is not None:
        request.recipe.pretrain.check(form, model)
    if isinstance(config, CustomConfig):
        with tempfile.TemporaryDirectory() as folder:
            export_onnx(
                DeployedModel(model, 1.0, core_of(form).prepared), form, Path(folder) / MODEL_FILE, {}
            )
