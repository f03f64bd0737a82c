"""The training step, and its result as the later steps read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.data.splits import make_splits
from modelyard.files import folder_written_whole, seal
from modelyard.home import Home
from modelyard.machine.devices import device_slots
from modelyard.progress import current_progress
from modelyard.steps.ahead import import_ahead
from modelyard.steps.finished import training_is_done
from modelyard.steps.requests import BuildRequest
from modelyard.training.config import num_epochs
from modelyard.training.job import OnEpoch, TrainJob, load_trained, run_job, run_job_in_subprocess
from modelyard.training.precision import resolve_device


def run_training(request: BuildRequest, home: Home, on_epoch: OnEpoch) -> Path:
    """Train, or go on from the checkpoint, when the device (or a share of the CPU) is free."""
    folder = request.training_folder(home)
    with device_slots(home, str(resolve_device(request.device)), request.cores):
        if training_is_done(request, home):
            return folder
        checkpoint = home.checkpoints / f"{request.training_key}.safetensors"
        job = training_job(request, home, checkpoint)
        _say_added_epochs(request, home)
        if not request.in_process:
            import_ahead()
        with folder_written_whole(folder) as scratch:
            (run_job if request.in_process else run_job_in_subprocess)(job, scratch, on_epoch)
            seal(scratch)
        checkpoint.unlink(missing_ok=True)
    return folder


def _say_added_epochs(request: BuildRequest, home: Home) -> None:
    """Few images: tell that `min_steps` makes more epochs than were asked for."""
    training, dataset = request.recipe.training, open_packed(home.steps / request.data_step, verify=False)
    images = len(make_splits(dataset, request.recipe.data).train)
    images = min(images, training.max_train_images or images)
    if (epochs := num_epochs(training, images)) > training.epochs:
        told = (
            f"NOTE: {request.label}: {images} training images: {epochs} epochs instead of "
            f"{training.epochs}, so that"
        )
        remedy = f"(--set training.min_steps=0 keeps {training.epochs})"
        current_progress.get().say(f"{told} {training.min_steps} steps are reached {remedy}")


def training_job(request: BuildRequest, home: Home, checkpoint: Path) -> TrainJob:
    """The job that makes a request's weights."""
    return TrainJob(
        data_folder=str(home.steps / request.data_step),
        data=request.recipe.data,
        model=request.recipe.model,
        training=request.recipe.training,
        seed=request.seed,
        device=request.device,
        checkpoint=str(checkpoint),
        cores=request.cores,
    )


def trained_model(request: BuildRequest, home: Home) -> tuple[Dataset, nn.Module, dict[str, Any]]:
    """The data, the trained model in evaluation mode and its `training.json`."""
    dataset = open_packed(home.steps / request.data_step, verify=False)
    model = request.recipe.model.build(dataset.form, len(dataset.classes))
    return dataset, model, load_trained(request.training_folder(home), model)
