"""The fit of networks: the training loop, with weights and a record of it in a folder."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from modelyard.data.datasets import Dataset
from modelyard.data.splits import Splits
from modelyard.files import write_json
from modelyard.home import cache_folder
from modelyard.machine.how import OnEpoch
from modelyard.models import CustomConfig
from modelyard.training.adapt.tuning import Tuning
from modelyard.training.adapt.ways import fine_tuned
from modelyard.training.answers import with_answers
from modelyard.training.fitted import RESULT_FILE, Build, TorchFitted
from modelyard.training.full import told_when_full
from modelyard.training.job import PROBES_FILE, TrainJob
from modelyard.training.loop import train
from modelyard.training.placement import Single
from modelyard.training.precision import card, resolve_device
from modelyard.training.start import begun, brought_by, start
from modelyard.training.unlabelled import GIVEN, training_splits


def fit(job: TrainJob, dataset: Dataset, out: Path, on_epoch: OnEpoch) -> None:
    """Leaves weights, `model.json` and `training.json` in `out`.

    Raises: TrainingError when the loss is not finite or the device's memory does not suffice; a checkpoint
    stays.
    """
    device = resolve_device(job.device)
    if isinstance(job.model, CustomConfig):
        job.model.demand_started(dataset.form, len(dataset.classes))
    torch.manual_seed(job.seed)
    if job.cores:
        torch.set_num_threads(job.cores)
    splits = with_answers(training_splits(dataset, job, job.folder(GIVEN)), job.folder("teach"))
    build = begun(job, Build.of(job.model, splits.train, dataset.classes))
    fitted = TorchFitted(build.network(), build)
    size = fitted.size()
    start(fitted.network, job)
    splits = encoded(splits, build)
    with told_when_full(device, job.training.batch_size, dataset.form.names.many):
        loop = partial(
            train, fitted.network, splits, job.training, seed=job.seed,
            placement=Single(device), asked=job.objective, checkpoint=Path(job.checkpoint),
            layer_decay=job.finetune.layer_decay if job.finetune else 1.0,
            probe_memory=cache_folder() / PROBES_FILE, on_epoch=on_epoch,
        )  # fmt: skip
        tuning = Tuning(fitted.network, splits, job, len(build.classes), device, on_epoch, loop)
        result = fine_tuned(tuning)
    fitted.save(out)
    record = {
        "history": [asdict(report) for report in result.history], "precision": result.precision,
        "best_epoch": result.best_epoch, "device": device.type, "card": card(device), "size": asdict(size),
        "model": job.model.model_dump(mode="json"), "training": job.training.model_dump(mode="json"),
        **dataset.form.record, "train_images": result.train_samples,
        "seconds": result.seconds, "checkpoint_seconds": result.checkpoint_seconds,
        **brought_by(job),
    }  # fmt: skip
    write_json(out / RESULT_FILE, record)


def encoded(splits: Splits, build: Build) -> Splits:
    """Train and validation as the network is given them; what both of them store is encoded once."""
    train, validation = build.encoded(splits.train), splits.validation
    if validation.samples is splits.train.samples:
        return replace(splits, train=train, validation=replace(validation, samples=train.samples))
    return replace(splits, train=train, validation=build.encoded(validation))
