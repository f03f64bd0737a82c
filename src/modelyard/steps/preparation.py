"""Data made ready, and models tried, before anything is recorded."""

from __future__ import annotations

import tempfile
from pathlib import Path

from modelyard.bundle import MODEL_FILE
from modelyard.data.packed import open_packed, pack
from modelyard.data.profile import kept_profile
from modelyard.data.sources import load_dataset
from modelyard.data.splits import DataConfig, make_splits
from modelyard.export.onnx import DeployedModel, export_onnx
from modelyard.home import Home
from modelyard.progress import current_progress
from modelyard.requests import BuildRequest
from modelyard.steps.naming import model_name


def prepare(  # noqa: PLR0913 - what a request says of its data
    dataset: str, home: Home, data: DataConfig | None = None, *, skip_unreadable: bool = False, name: str = "",
    claim: bool = False,
) -> dict[str, str]:  # fmt: skip
    """Verify and pack the data, once for the whole run; gives step name, digest and the model's name (`naming.py`)."""
    data = data or DataConfig()
    options = data.folder_options(skip_unreadable=skip_unreadable)
    loaded = load_dataset(dataset, options, current_progress.get().work)
    if dataset == "auto" and loaded.name != "mnist":
        current_progress.get().say(f"NOTE: no mnist on this machine, this run uses {loaded.name} (modelyard data list)")
    for note in loaded.origin.get("notes", []):
        current_progress.get().say(f"NOTE: {note}")
    make_splits(loaded, data)
    folder = home.steps / f"data-{loaded.digest[:16]}"
    kept_profile(home, pack(loaded, folder))
    chosen = model_name(home, dataset, loaded, name, claim=claim)
    return {"data_step": folder.name, "data_digest": loaded.digest, "dataset": chosen}


def check_model(request: BuildRequest, home: Home) -> None:
    """Build the model before anything is recorded; a user's own is exported untrained, too.

    Raises: ConfigError, ExportError.
    """
    dataset = open_packed(home.steps / request.data_step, verify=False)
    model = request.recipe.model.build(dataset.image_shape, len(dataset.classes))
    if request.recipe.model.architecture == "custom":
        channels, height, width = dataset.image_shape
        with tempfile.TemporaryDirectory() as folder:
            export_onnx(DeployedModel(model, 1.0), (height, width, channels), Path(folder) / MODEL_FILE, {})
