"""`kill -9` in the middle of an epoch, and run again: the weights of the training that was never killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from modelyard.data.datasets import Dataset
from modelyard.data.packed import pack
from modelyard.progress import EpochReport
from modelyard.recipes.named import make_recipe
from modelyard.training.fits import run_job
from modelyard.training.fitted import WEIGHTS_FILE
from modelyard.training.job import TrainJob

CHILD = """
import os, sys
from pathlib import Path
import torch
from modelyard.training.fits import run_job
from modelyard.training.job import TrainJob

step, taken = torch.optim.AdamW.step, []

def deadly_step(optimizer):
    taken.append(step(optimizer))
    if len(taken) == 13 + 7 + 3:
        os.kill(os.getpid(), 9)

torch.optim.AdamW.step = deadly_step
run_job(TrainJob.model_validate_json(sys.argv[1]), Path(sys.argv[2]), lambda _: None)
"""


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Another number of threads would add in another order."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.fault("a training is killed in a step", how="SIGKILL of its process within its third epoch")
def test_a_killed_training_goes_on_to_the_same_weights(
    digits: Dataset, store: Path, one_thread: None
) -> None:
    recipe = make_recipe("cnn", "tiny")
    changes = ["epochs=4", "min_steps=0", "max_train_images=400", "batch_size=32", "precision=fp32"]
    folders = {name: store / name for name in ("whole", "cut")}
    jobs = {
        name: TrainJob(
            data_folder=str(pack(digits, store / "data").folder), data=recipe.data, model=recipe.model,
            training=recipe.training.override(changes), seed=3, device="cpu", cores=1,
            checkpoint=str(folder / "checkpoint"),
        )
        for name, folder in folders.items()
    }  # fmt: skip
    for folder in folders.values():
        folder.mkdir()
    command = [sys.executable, "-c", CHILD, jobs["cut"].model_dump_json(), str(folders["cut"])]
    killed = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    seen: dict[str, list[EpochReport]] = {name: [] for name in jobs}
    for name, job in jobs.items():
        run_job(job, folders[name], seen[name].append)
    assert [report.epoch for report in seen["whole"]] == [1, 2, 3, 4]
    assert [report.epoch for report in seen["cut"]] in ([2, 3, 4], [3, 4]), (
        "as the pace of checkpoints has it"
    )
    whole, cut = (load_file(folder / WEIGHTS_FILE) for folder in folders.values())
    assert all((whole[name] == cut[name]).all() for name in whole)
