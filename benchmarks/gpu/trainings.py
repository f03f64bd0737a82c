"""Trainings as the parts ask for them. N images, K classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.gpu.part import Bench
from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.data.splits import make_splits
from modelyard.evaluation.predict import predict_logits
from modelyard.progress import EpochReport
from modelyard.recipes.named import make_recipe
from modelyard.recipes.recipe import Recipe
from modelyard.sources.peek import describe
from modelyard.training import loop
from modelyard.training.fits import run_job
from modelyard.training.fitted import RESULT_FILE, WEIGHTS_FILE, TorchFitted
from modelyard.training.job import JOB_FILE, TrainJob
from modelyard.training.loop import train
from modelyard.training.placement import Single
from modelyard.training.precision import resolve_device

TINY = ("training.max_train_images=64", "training.batch_size=32", "training.min_steps=0")
"""Changes of every recipe in a dry run."""


def recipe_of(bench: Bench, architecture: str, preset: str, changes: Sequence[str] = ()) -> Recipe:
    """A recipe for MNIST."""
    recipe = make_recipe(architecture, preset, describe("mnist"))
    return recipe.override([*changes, *(TINY if bench.is_dry else ())])


def any_kernels() -> AbstractContextManager[object]:
    """Trainings inside take the fastest kernels, whose weights may differ from run to run."""
    return mock.patch.object(loop, "equal_seeds_equal_weights", nullcontext)


@dataclass(frozen=True, slots=True)
class Training:
    """A job and where its results go."""

    job: TrainJob
    out: Path

    @classmethod
    def of(cls, bench: Bench, name: str, recipe: Recipe, *, seed: int = 0) -> Training:
        """In a folder `name` of the script's scratch."""
        out = bench.scratch / "trainings" / name.replace(" ", "-")
        out.mkdir(parents=True, exist_ok=True)
        job = TrainJob(
            data_folder=str(bench.data),
            data=recipe.data,
            model=recipe.model,
            training=recipe.training,
            seed=seed,
            device=bench.device,
            checkpoint=str(out / "checkpoint.safetensors"),
        )
        return cls(job, out)

    @classmethod
    def at(cls, bench: Bench, name: str) -> Training:
        """One that has run as `name`."""
        out = bench.scratch / "trainings" / name.replace(" ", "-")
        return cls(TrainJob.model_validate_json((out / JOB_FILE).read_bytes()), out)

    def run(self, on_epoch: Callable[[EpochReport], None] = lambda report: None) -> None:
        """In this process."""
        (self.out / JOB_FILE).write_text(self.job.model_dump_json())
        run_job(self.job, self.out, on_epoch)

    @property
    def checkpoint(self) -> Path:
        return Path(self.job.checkpoint)

    @property
    def weights(self) -> bytes:
        """Of the finished training."""
        return (self.out / WEIGHTS_FILE).read_bytes()

    @property
    def record(self) -> dict[str, Any]:
        """What the finished training says of itself."""
        record: dict[str, Any] = json.loads((self.out / RESULT_FILE).read_text())
        return record

    def model(self) -> tuple[torch.nn.Module, Dataset]:
        """The trained model, on the CPU, and the data."""
        dataset = open_packed(Path(self.job.data_folder), verify=False)
        return TorchFitted.open(self.out).network, dataset

    def accuracy(self, device: str) -> float:
        """Of the finished training on the test images."""
        model, dataset = self.model()
        answers_N = predict_logits(model.to(device), dataset.test, torch.device(device)).argmax(1)
        return float((answers_N == torch.from_numpy(dataset.test.labels_N)).double().mean())


def epoch_ms(bench: Bench, recipe: Recipe, epochs: int = 4) -> list[float]:
    """Milliseconds a step of each epoch, the first (kernels are chosen) first; hardly any
    validation in it.
    """
    wanted = [
        f"training.epochs={epochs}",
        "training.min_steps=0",
        "training.hard_share=1",
        "data.validation_share=0.002",
    ]
    recipe = recipe.override([*wanted, "training.max_train_images=12800"][: 4 if bench.is_dry else 5])
    dataset = open_packed(bench.data, verify=False)
    splits = make_splits(dataset, recipe.data)
    model = recipe.model.build(dataset.form, len(dataset.classes))
    reports: list[EpochReport] = []
    placement = Single(resolve_device(bench.device))
    train(model, splits, recipe.training, seed=0, placement=placement, on_epoch=reports.append)
    steps = -(-min(recipe.training.max_train_images, len(splits.train)) // recipe.training.batch_size)
    return [1e3 * report.seconds / steps for report in reports]


@contextmanager
def peak_memory(bench: Bench) -> Iterator[dict[str, float]]:
    """Afterwards holds `peak_MB`, of torch's tensors in this process; nothing in a dry run."""
    found: dict[str, float] = {}
    if not bench.is_dry:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats()
    yield found
    if not bench.is_dry:
        found["peak_MB"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
