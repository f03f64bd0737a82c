"""One training as a file: what is asked, what came of it. Runs in its own process group or in process."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TextIO

import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import nn

from modelyard.config import Config
from modelyard.data.packed import open_packed
from modelyard.data.splits import DataConfig, make_splits
from modelyard.errors import ModelyardError, TrainingError, TrainingKilledError
from modelyard.files import write_json
from modelyard.home import cache_folder
from modelyard.machine.bound import bound_environment
from modelyard.models import AnyModelConfig, CustomConfig
from modelyard.models.size import measure_size
from modelyard.progress import EpochReport
from modelyard.terminal.printable import shortened
from modelyard.training.config import TrainingConfig
from modelyard.training.full import told_when_full
from modelyard.training.loop import train
from modelyard.training.placement import Single
from modelyard.training.precision import card, resolve_device

WEIGHTS_FILE, RESULT_FILE, JOB_FILE, ERRORS_FILE = (
    "weights.safetensors",
    "training.json",
    "job.json",
    "stderr.log",
)
PROBES_FILE = "precision.json"
SPINS = "1000"
"""OpenMP threads that spin for long starve each other as soon as another process needs a core; none makes
small
batches slow (figures: docs/decisions.md)."""
OnEpoch = Callable[[EpochReport], None]


class TrainJob(Config):
    """Everything a training process needs to know."""

    data_folder: str
    data: DataConfig
    model: Annotated[AnyModelConfig, Field(discriminator="architecture")]
    training: TrainingConfig
    seed: int
    device: str
    checkpoint: str
    cores: int | None = None
    """Threads; None: as torch finds it."""


def run_job(job: TrainJob, out: Path, on_epoch: OnEpoch) -> None:
    """Train in this process; leaves weights and `training.json` in `out`.

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
    model = job.model.build(dataset.form, len(dataset.classes))
    size = measure_size(model, dataset.form)
    with told_when_full(device, job.training.batch_size):
        result = train(
            model, make_splits(dataset, job.data), job.training, seed=job.seed, placement=Single(device),
            checkpoint=Path(job.checkpoint), probe_memory=cache_folder() / PROBES_FILE, on_epoch=on_epoch,
        )  # fmt: skip
    weights = {name: value.cpu().contiguous().clone() for name, value in result.model.state_dict().items()}
    save_file(weights, out / WEIGHTS_FILE)
    record = {
        "history": [asdict(report) for report in result.history], "precision": result.precision,
        "best_epoch": result.best_epoch, "device": device.type, "card": card(device), "size": asdict(size),
        "model": job.model.model_dump(mode="json"), "training": job.training.model_dump(mode="json"),
        "image_shape": dataset.form.chw, "train_images": result.train_samples,
        "seconds": result.seconds, "checkpoint_seconds": result.checkpoint_seconds,
    }  # fmt: skip
    write_json(out / RESULT_FILE, record)


def run_job_in_subprocess(job: TrainJob, out: Path, on_epoch: OnEpoch) -> None:
    """The same in a process group of its own, which ends with this call whatever happens."""
    (out / JOB_FILE).write_text(job.model_dump_json())
    environment = bound_environment() | {"GOMP_SPINCOUNT": SPINS}
    command = [sys.executable, "-P", "-m", "modelyard.training", str(out)]
    with (out / ERRORS_FILE).open("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True, env=environment
        )
        try:
            expected = ""
            for line in process.stdout or ():
                if line.startswith('{"epoch"'):
                    on_epoch(EpochReport(**json.loads(line)))
                elif line.startswith('{"error"'):
                    expected = json.loads(line)["error"]
            code = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    messages = (out / ERRORS_FILE).read_text().strip().splitlines()
    if messages:
        logging.getLogger(__name__).info("stderr of the training:\n%s", "\n".join(messages))
    if code:
        kind = (
            ModelyardError
            if code == ModelyardError.exit_code
            else TrainingKilledError
            if code < 0
            else TrainingError
        )
        raise kind(
            expected or (messages[-1] if messages else f"training ended with code {code} (out of memory?)")
        )


def serve_job(out: Path) -> int:
    """Body of `python -m modelyard.training OUT`: a JSON line on stdout for each epoch and for an error."""
    job = TrainJob.model_validate_json((out / JOB_FILE).read_bytes())
    with answers() as stream:
        try:
            run_job(job, out, lambda report: print(json.dumps(asdict(report)), file=stream, flush=True))
        except Exception as error:
            told = str(error) if isinstance(error, ModelyardError) else f"{type(error).__name__}: {error}"
            print(json.dumps({"error": shortened(" ".join(told.split()))}), file=stream, flush=True)
            if not isinstance(error, ModelyardError):
                raise
            return error.exit_code
    return 0


def answers() -> TextIO:
    """This process's standard output, for answers alone: what an own module prints from now on
    goes nowhere.
    """
    stream = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    return stream


def read_history(folder: Path) -> list[EpochReport]:
    """The epochs of a finished training."""
    return [EpochReport(**report) for report in json.loads((folder / RESULT_FILE).read_text())["history"]]


def load_trained(folder: Path, model: nn.Module) -> dict[str, Any]:
    """Put a finished training's weights into `model`; gives its `training.json`."""
    model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    model.eval()
    record: dict[str, Any] = json.loads((folder / RESULT_FILE).read_text())
    return record
