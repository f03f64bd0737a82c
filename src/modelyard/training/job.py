"""One training: what is asked, as a file, and its run in this process."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Self, TextIO

import torch

from modelyard.data.packed import open_packed
from modelyard.data.splits import make_splits
from modelyard.files import write_json
from modelyard.home import cache_folder
from modelyard.machine.how import How, OnEpoch
from modelyard.models import CustomConfig
from modelyard.training.fitted import RESULT_FILE, Build, TorchFitted
from modelyard.training.full import told_when_full
from modelyard.training.loop import train
from modelyard.training.placement import Single
from modelyard.training.precision import card, resolve_device
from modelyard.training.slices import TrainSlice

JOB_FILE = "job.json"
PROBES_FILE = "precision.json"
SPINS = "1000"
"""OpenMP threads that spin for long starve each other as soon as another process needs a core; none makes
small batches slow (figures: docs/results.md)."""


class TrainJob(TrainSlice):
    """Everything a training process needs to know."""

    data_folder: str
    device: str
    checkpoint: str
    cores: int | None = None
    """Threads; None: as torch finds it."""
    code: str = ""
    """Digest of the code that is asked to train; empty: any."""

    @classmethod
    def of(cls, slice: TrainSlice, data: Path, how: How) -> Self:
        """These weights, from the prepared data in `data`."""
        return cls(
            **dict(slice), data_folder=str(data), device=how.device, checkpoint=how.checkpoint,
            cores=how.cores, code=how.code,
        )  # fmt: skip


def run_job(job: TrainJob, out: Path, on_epoch: OnEpoch) -> None:
    """Train in this process; leaves weights, `model.json` and `training.json` in `out`.

    Raises: TrainingError when the loss is not finite or the device's memory does not suffice; a checkpoint
    stays.
    """
    dataset = open_packed(Path(job.data_folder), verify=False)
    device = resolve_device(job.device)
    if isinstance(job.model, CustomConfig):
        job.model.demand_started(dataset.form, len(dataset.classes))
    torch.manual_seed(job.seed)
    if job.cores:
        torch.set_num_threads(job.cores)
    build = Build(model=job.model, form=dataset.form, classes=dataset.classes)
    fitted = TorchFitted(build.network(), build)
    size = fitted.size()
    with told_when_full(device, job.training.batch_size):
        result = train(
            fitted.network, make_splits(dataset, job.data), job.training, seed=job.seed,
            placement=Single(device), checkpoint=Path(job.checkpoint),
            probe_memory=cache_folder() / PROBES_FILE, on_epoch=on_epoch,
        )  # fmt: skip
    fitted.save(out)
    record = {
        "history": [asdict(report) for report in result.history], "precision": result.precision,
        "best_epoch": result.best_epoch, "device": device.type, "card": card(device), "size": asdict(size),
        "model": job.model.model_dump(mode="json"), "training": job.training.model_dump(mode="json"),
        "image_shape": dataset.form.chw, "train_images": result.train_samples,
        "seconds": result.seconds, "checkpoint_seconds": result.checkpoint_seconds,
    }  # fmt: skip
    write_json(out / RESULT_FILE, record)


def answers() -> TextIO:
    """Standard output, for answers alone: what an own module prints from now on goes nowhere."""
    stream = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    return stream
