"""What a training will take: a few of its steps, done in a process of their own before it begins.

`python -m modelyard.training.trial` reads jobs, a JSON line each, and answers each with what its fork
measured, or null.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from modelyard.data.batches import RESIDENT_SHARE, free_bytes
from modelyard.data.datasets import Rows, evaluated_rows
from modelyard.data.packed import open_packed
from modelyard.data.splits import Splits
from modelyard.evaluation.predict import predict_logits
from modelyard.home import cache_folder
from modelyard.machine.memory import available_bytes
from modelyard.models.size import measure_size
from modelyard.training.config import TrainingConfig, batch_size_for, num_epochs, steps_before
from modelyard.training.fitted import Build
from modelyard.training.gradient import encoded
from modelyard.training.job import PROBES_FILE, SPINS, TrainJob, answers
from modelyard.training.loop import TrainResult, train
from modelyard.training.placement import Single
from modelyard.training.precision import PROBE_SECONDS, autocast, resolve_device
from modelyard.training.unlabelled import GIVEN, training_splits

FEW, STEP_SECONDS, SLOW_SECONDS = 4, 0.15, 0.6
"""Images of the first steps; how long a step of the others may take: it has fewer images where they are
large. Where the first took `SLOW_SECONDS` there are no others."""
SHORT = {
    "min_steps": 0, "min_steps_per_epoch": 1, "max_train_images": 0, "hard_share": 1.0, "patience": 0,
    "compile": False,
}  # fmt: skip
"""What the steps of a trial are trained with, whatever the training has."""
SHORT_SECONDS, SHORT_STEPS = 0.05, 5
"""Epochs of a trial have one step, or several short ones, beside which the rest of an epoch counts little."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a training takes on this machine."""

    memory: float
    """Bytes its process holds at most."""
    seconds: float
    evaluation: float
    """Bytes that evaluating a batch takes, in whatever process."""


def measure(jobs: Sequence[TrainJob], seconds: float = 120) -> list[Cost | None]:
    """The cost of each; None where it could not be tried: the memory was too little, or its model fails."""
    command = [sys.executable, "-P", "-m", "modelyard.training.trial"]
    text = "\n".join(job.model_dump_json() for job in jobs)
    environment = os.environ | {"GOMP_SPINCOUNT": SPINS}
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, env=environment, timeout=seconds, check=False
        )
        found = [json.loads(line) for line in done.stdout.splitlines()]
    except subprocess.TimeoutExpired:
        found = []
    return [Cost(**answer) if answer else None for answer in (*found, *[None] * (len(jobs) - len(found)))]


def serve() -> None:
    """Answer the jobs of stdin. Nothing is computed before a fork: threads of OpenMP do not survive it."""
    import torch._dynamo  # noqa: F401 - as every training does before its first step

    shared, stream = _shared(), answers()
    for line in sys.stdin.read().splitlines():
        if not (child := os.fork()):
            memory, seconds, evaluation = _trial(TrainJob.model_validate_json(line))
            print(json.dumps(asdict(Cost(memory + shared, seconds, evaluation))), file=stream, flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            print("null", file=stream, flush=True)


def _trial(job: TrainJob) -> tuple[float, float, float]:
    """Memory besides what the server shares, seconds, and bytes of an evaluation."""
    import torch

    room = psutil.Process().memory_info().data + available_bytes()
    resource.setrlimit(resource.RLIMIT_DATA, (room, room))
    if job.cores:
        torch.set_num_threads(job.cores)
    dataset = open_packed(Path(job.data_folder), verify=False)
    splits, device = training_splits(dataset, job, job.folder(GIVEN)), resolve_device(job.device)
    build = Build.of(job.model, splits.train, dataset.classes)
    model, splits = build.network(), encoded(splits, build)
    activations = measure_size(model, build.taken).activation_bytes
    images = min(len(splits.train), job.training.max_train_images or len(splits.train))
    batch = min(images, batch_size_for(job.training, images))

    def steps(
        rows: int, count: int, rounds: int, precision: str, memory: Path | None = None
    ) -> tuple[TrainResult, float, int]:
        """What came of them, seconds of one, bytes held at most."""
        changes = SHORT | {"epochs": rounds, "batch_size": rows, "precision": precision}
        few = Splits(
            splits.train.take(_from_both_ends(images, rows * count)),
            splits.validation.take(np.arange(2) % 1),
            splits.test,
        )
        config = TrainingConfig.model_validate(job.training.model_dump() | changes)
        result = train(
            model, few, config, seed=job.seed, placement=Single(device), asked=job.objective,
            probe_memory=memory,
        )  # fmt: skip
        return (
            result,
            min(report.seconds for report in result.history) / count,
            _peak(),
        )  # the others waited for a core

    few, low, base = min(FEW, batch), _peak(), 0
    result, step, high = steps(rows := few, 1, 2, "fp32")
    if step < SLOW_SECONDS and few < batch:
        low, base, rows = high, few, min(batch, max(2 * few, int(few * STEP_SECONDS / step)))
        count, precision = SHORT_STEPS if step * rows / few < SHORT_SECONDS else 1, job.training.precision
        result, step, high = steps(
            rows, count, 4, precision, cache_folder() / PROBES_FILE if rows == batch else None
        )
    epochs, most = num_epochs(job.training, images), evaluated_rows(dataset.form)
    held_out = min(len(splits.validation), 2 * rows, most)
    began = time.perf_counter()
    with autocast(result.precision, device):
        predict_logits(model, splits.validation.take(np.arange(held_out)), device)
    evaluation = (time.perf_counter() - began) * len(splits.validation) / held_out
    probe = result.seconds - sum(report.seconds for report in result.history) - 2 * PROBE_SECONDS
    again = 2 * PROBE_SECONDS + min(probe, 6 * step) * batch / rows if probe > 0 and rows < batch else 0.0
    seen = batch * steps_before(job.training, images, epochs)
    held = splits.train.nbytes * images / len(splits.train)
    resident = held * (held < free_bytes(device) * RESIDENT_SHARE)
    memory = high + (high - low) / (rows - base) * (batch - rows) + held + resident + splits.validation.nbytes
    return memory - _shared() / 2, again + step / rows * seen + evaluation * epochs, activations * most


def _from_both_ends(count: int, rows: int) -> Rows:
    """Row numbers in turn from the beginning, where labelled samples are, and from the end."""
    places_M: Rows = np.arange(rows) % count
    return np.where(places_M % 2, count - 1 - places_M // 2, places_M // 2)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _shared() -> int:
    """Of the mapped files that a fork touches anew, half were the server's already (measured)."""
    shared: int = psutil.Process().memory_info().shared
    return shared


if __name__ == "__main__":
    serve()
