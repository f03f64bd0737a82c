"""What a run would do: which steps are done, which are not and why, and how long those may take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelyard.data.packed import open_packed
from modelyard.data.splits import make_splits
from modelyard.home import Home
from modelyard.requests import BuildRequest, CompareRequest
from modelyard.steps import check_model, evaluation_is_done, export_is_done, prepare, training_is_done
from modelyard.training.config import TrainingConfig, num_epochs, steps_before
from modelyard.training.job import RESULT_FILE

Row = dict[str, Any]


def plan_rows(request: CompareRequest, home: Home) -> list[Row]:
    """One row for each architecture and step, in the order in which they would run. Raises what the run would raise."""
    first = next(iter(request.recipes.values()))
    prepared = prepare(request.dataset, home, first.data, skip_unreadable=request.skip_unreadable, name=request.name)
    builds = [
        BuildRequest(recipe=recipe, label=label, seed=request.seed, **prepared) for label, recipe in request.recipes.items()
    ]
    for build in builds:
        check_model(build, home)
    return [row for build in builds for row in _rows_of_one(build, home)]


def _rows_of_one(build: BuildRequest, home: Home) -> list[Row]:
    steps = {
        "train": (build.training_folder(home), training_is_done(build, home)),
        "evaluate": (build.evaluation_folder(home), evaluation_is_done(build, home)),
        "export": (build.bundle_folder(home), export_is_done(build, home)),
    }
    rows = []
    for step, (folder, is_done) in steps.items():
        state, why = "done", "same data, recipe and code"
        if not is_done:
            state, why = "to do", _why_missing(step, build, home)
        head = {"model": build.dataset, "architecture": build.label}
        rows.append(head | {"step": step, "state": state, "why": why, "folder": folder.name})
    return rows


def _why_missing(step: str, build: BuildRequest, home: Home) -> str:
    if step != "train":
        return "not made yet for this training"
    checkpoint = home.checkpoints / f"{build.training_key}.safetensors"
    seconds = estimate_seconds(build, home)
    time_left = f"about {seconds:.0f} s" if seconds is not None else "time unknown until it was trained once"
    return f"goes on from its checkpoint, at most {time_left}" if checkpoint.exists() else f"not trained yet, {time_left}"


def estimate_seconds(build: BuildRequest, home: Home) -> float | None:
    """Seconds of training, from the last training of an equal model on this machine; None when there is none."""
    dataset = open_packed(home.steps / build.data_step, verify=False)
    images = len(make_splits(dataset, build.recipe.data).train)
    images = min(images, build.recipe.training.max_train_images or images)
    wanted = {"model": build.recipe.model.model_dump(mode="json"), "image_shape": list(dataset.image_shape)}
    for result in sorted(home.steps.glob(f"train-*/{RESULT_FILE}"), key=_modified, reverse=True):
        record = json.loads(result.read_text())
        if wanted.items() <= record.items() and "training" in record:  # earlier versions did not keep it
            before = TrainingConfig.model_validate(record["training"])
            steps = steps_before(before, record["train_images"], len(record["history"]))
            training = build.recipe.training
            return float(record["seconds"] / steps * steps_before(training, images, num_epochs(training, images)))
    return None


def _modified(path: Path) -> float:
    return path.stat().st_mtime
