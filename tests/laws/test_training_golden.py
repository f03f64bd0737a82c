"""A training gives what it gave: losses by epoch and the norm of every parameter, for each architecture.

Another CPU rounds differently (and a ReLU at zero makes more of it), which the tolerances allow; another
order, seed, schedule or average is far outside. On the machine that wrote the values, weights and losses are
the same to the last bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modelyard.data.datasets import Dataset
from modelyard.data.splits import DataConfig, make_splits
from modelyard.progress import EpochReport
from modelyard.recipes.named import named
from modelyard.recipes.words import Words
from modelyard.samples import ImageForm
from modelyard.sources.sources import load_dataset
from modelyard.training.loop import train
from modelyard.training.placement import Single
from tests.laws import golden

TOLERANCES = {
    "losses": golden.Tolerance(relative=1e-3),
    "rates": golden.Tolerance(relative=1e-6),
    "norms": golden.Tolerance(relative=1e-3, absolute=2e-4),
}
IMAGES, SEED = 240, 5
SHORT = (
    "epochs=3",
    "min_steps=0",
    "batch_size=32",
    "hard_share=1",
    "precision=fp32",
    "augment.shift=0",
    "ema_decay=0",
    "optimizer.learning_rate=1e-3",
)
SETTINGS = {
    "plain": (),
    "hard": ("hard_share=0.5",),
    "shifted and mirrored": ("augment.shift=2", "augment.flip=true"),
    "warped and erased": ("augment.rotate=20", "augment.scale=0.2", "augment.erase=6", "label_smoothing=0.1"),
    "averaged": ("ema_decay=0.9",),
    "uneven batches": ("batch_size=50", "min_steps_per_epoch=4", "max_train_images=190"),
    "sgd": (
        "optimizer.name=sgd",
        "optimizer.schedule=linear",
        "optimizer.warmup_share=0.4",
        "optimizer.learning_rate=0.01",
    ),
    "weighted": ("class_weights=balanced", "optimizer.weight_decay=0.5", "optimizer.schedule=constant"),
    "hard of each class": ("sampling=balanced", "hard_share=0.5", "ema_decay=0.9"),
}
OF_ONE = {
    ("lenet", "plain"): (),
    ("lstm", "plain"): ("model.hidden=48",),
    ("vit", "plain"): (),
    ("cnn", "dropout"): ("model.dropout=0.4",),
    ("rnn", "best epoch is not the last"): (
        "training.optimizer.learning_rate=0.25",
        "training.optimizer.warmup_share=0.95",
    ),
}
TRAININGS = [(name, setting) for name in ("cnn", "rnn", "transformer") for setting in SETTINGS]
TRAININGS += OF_ONE


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to."""

    weights: dict[str, np.ndarray[Any, Any]]
    losses: list[list[float]]
    """Of each epoch: training, validation, calibrated."""
    rates: list[float]
    """The last learning rate of each epoch."""

    def as_json(self) -> dict[str, Any]:
        """Norms by parameter, losses, and the digest of every bit."""
        norms = {
            name: float(np.linalg.norm(value.astype(np.float64))) for name, value in self.weights.items()
        }
        bits = (
            b"".join(value.tobytes() for _, value in sorted(self.weights.items()))
            + np.array(self.losses).tobytes()
        )
        return {
            "losses": [[round(loss, 6) for loss in epoch] for epoch in self.losses],
            "rates": [float(f"{rate:.7g}") for rate in self.rates],
            "norms": {name: round(norm, 6) for name, norm in norms.items()},
            "digest": hashlib.sha256(bits).hexdigest()[:16],
        }


def trained(digits: Dataset, architecture: str, setting: str, checkpoint: Path | None = None) -> Trained:
    """A small model; with a checkpoint the training is interrupted after its first epoch and goes on."""
    changes = [f"training.{change}" for change in (*SHORT, *SETTINGS.get(setting, ()))]
    preset = "tiny" if architecture in ("cnn", "rnn", "transformer") else "smoke"
    words = Words(dataset="", architectures=(architecture,), preset=preset, assignments=tuple(changes))
    (recipe,) = named(words, OF_ONE.get((architecture, setting), ())).values()
    small = Dataset(digits.name, digits.train.take(np.arange(IMAGES)), digits.test, digits.classes, "")
    splits = make_splits(small, DataConfig())

    def stop(report: EpochReport) -> None:
        if report.epoch == 1:
            raise KeyboardInterrupt

    def once(on_epoch: Any = lambda report: None) -> Any:
        torch.manual_seed(SEED)
        model = recipe.model.build(ImageForm(1, 28, 28), 10)
        return train(
            model, splits, recipe.training, seed=SEED, placement=Single(torch.device("cpu")),
            checkpoint=checkpoint, on_epoch=on_epoch,
        )  # fmt: skip

    with one_thread():
        if checkpoint is not None:
            with pytest.raises(KeyboardInterrupt):
                once(stop)
        result = once()
    losses = [
        [report.train_loss, report.validation_loss, report.calibrated_loss] for report in result.history
    ]
    rates = [report.learning_rate for report in result.history]
    return Trained({name: value.numpy() for name, value in result.model.state_dict().items()}, losses, rates)


@contextmanager
def one_thread() -> Iterator[None]:
    """As many as on any machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine() -> str:
    """What rounds alike."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    wanted = ("model name", "cpu family", "model", "stepping", "cache size")
    told = dict(line.replace("\t", "").split(":", 1) for line in reversed(lines) if line.startswith(wanted))
    facts = [f"{name}{told.get(name, '')}" for name in wanted]
    return ", ".join([*facts, torch.backends.cpu.get_cpu_capability(), f"torch {torch.__version__}"])


def present(_: Path) -> dict[str, Any]:
    """All of it."""
    digits = load_dataset("digits")
    tree: dict[str, Any] = {"machine": {"name": machine()}}
    for name, setting in TRAININGS:
        tree.setdefault(name, {})[setting] = trained(digits, name, setting).as_json()
    return tree


def check(architecture: str, setting: str, found: Trained) -> None:
    """Within the tolerance everywhere; equal where it must be."""
    tree = golden.read("training")
    expected, now = tree[architecture][setting], found.as_json()
    for part, tolerance in TOLERANCES.items():
        assert list(golden.differences(expected[part], now[part], tolerance, part)) == []
    if tree["machine"]["name"] == machine():
        assert now["digest"] == expected["digest"]


@pytest.mark.parametrize(("architecture", "setting"), TRAININGS)
def test_a_training_gives_what_it_gave(architecture: str, setting: str, digits: Dataset) -> None:
    check(architecture, setting, trained(digits, architecture, setting))


@pytest.mark.parametrize(
    ("architecture", "setting"), [("cnn", "averaged"), ("transformer", "hard"), ("rnn", "sgd")]
)
def test_so_does_one_that_was_interrupted(
    architecture: str, setting: str, digits: Dataset, tmp_path: Path
) -> None:
    check(architecture, setting, trained(digits, architecture, setting, tmp_path / "checkpoint"))
