"""Body of the training step. `python -m modelyard.steps.train STEPS` does the job in each folder below STEPS
that its stdin names.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modelyard.data.packed import open_packed
from modelyard.errors import ModelyardError, TrainingError
from modelyard.home import Home
from modelyard.machine.bound import bind_to_parent
from modelyard.machine.child import Child, children_to_come, each_in_a_fork, run_in_child
from modelyard.machine.cores import usable_cores
from modelyard.machine.how import How, OnEpoch
from modelyard.progress import EpochReport, current_progress
from modelyard.terminal.printable import shortened
from modelyard.training.config import num_epochs
from modelyard.training.fits import run_job
from modelyard.training.fitted import RESULT_FILE
from modelyard.training.job import JOB_FILE, SPINS, TrainJob, answers
from modelyard.training.slices import TrainSlice
from modelyard.training.unlabelled import GIVEN, training_splits

MODULE, SPINNING = "modelyard.steps.train", {"GOMP_SPINCOUNT": SPINS}


def run(slice: TrainSlice, given: Mapping[str, Path], out: Path, how: How) -> dict[str, Any]:
    """Train, or go on from the checkpoint: weights, `model.json` and `training.json` in `out`.

    Gives on what it was made. Raises: TrainingError, and what a wrong input raises.
    """
    _say_added_epochs(slice, given, how.label)
    job = TrainJob.of(slice, given, how)
    if how.in_process:
        run_job(job, out, how.on_epoch)
    else:
        train_in_child(job, out, how.on_epoch)
    told = json.loads((out / RESULT_FILE).read_text())
    return {
        "device": told["device"], "precision": told["precision"], "processes": 1,
        "cores": how.cores or usable_cores(),
    }  # fmt: skip


def _say_added_epochs(slice: TrainSlice, given: Mapping[str, Path], label: str) -> None:
    """Few samples: tell that `min_steps` makes more epochs than were asked for."""
    training = slice.training
    train = training_splits(open_packed(given["data"], verify=False), slice, given.get(GIVEN)).train
    count = min(len(train), training.max_train_images or len(train))
    if (epochs := num_epochs(training, count)) > training.epochs:
        many = train.form.names.many
        told = (
            f"NOTE: {label}: {count} training {many}: {epochs} epochs instead of {training.epochs}, so that"
        )
        remedy = f"(--set training.min_steps=0 keeps {training.epochs})"
        current_progress.get().say(f"{told} {training.min_steps} steps are reached {remedy}")


def train_in_child(job: TrainJob, out: Path, on_epoch: OnEpoch) -> None:
    """`run_job` in a process group of its own, which ends with this call whatever happens."""
    (out / JOB_FILE).write_text(job.model_dump_json())
    run_in_child(lambda: _child(out.parent), out, lambda told: on_epoch(EpochReport(**told)))


def trainings_to_come(count: int, home: Home) -> AbstractContextManager[None]:
    """Within, the process of so many trainings starts ahead, and imports once for all."""
    return children_to_come(count, lambda: _child(home.steps))


def _child(steps: Path) -> Child:
    return Child(MODULE, steps, SPINNING)


def serve(out: Path) -> int:
    """In the child: a JSON line on stdout for each epoch and for an error; gives the exit code."""
    with answers() as stream:
        try:
            job = TrainJob.model_validate_json((out / JOB_FILE).read_bytes())
            _demand_code(job)
            run_job(job, out, lambda report: print(json.dumps(asdict(report)), file=stream, flush=True))
        except Exception as error:
            told = str(error) if isinstance(error, ModelyardError) else f"{type(error).__name__}: {error}"
            print(json.dumps({"error": shortened(" ".join(told.split()))}), file=stream, flush=True)
            if not isinstance(error, ModelyardError):
                raise
            return error.exit_code
    return 0


def _demand_code(job: TrainJob) -> None:
    """Raises: TrainingError where this process would run other code than it is asked to."""
    from modelyard.steps.closure import CHANGED, code_digest, members_of  # only a child asks

    if job.code and job.code != code_digest(MODULE, members_of(job)):
        raise TrainingError(CHANGED)


def main() -> int:
    """End with the parent, which may be gone already; then the jobs."""
    bind_to_parent(signal.SIGKILL)
    import torch._dynamo  # noqa: F401 - as every training does before its first step

    return each_in_a_fork(serve)


if __name__ == "__main__":
    sys.exit(main())
