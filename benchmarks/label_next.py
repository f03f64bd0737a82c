"""What labelling the samples of `modelyard data next` is worth, beside as many that are drawn at random.

    MODELYARD_DATA=... python -m benchmarks.label_next [--data mnist] [--architecture cnn] [--preset sprint]
        [--labels 100] [--count 100] [--draws 0 1 2]

For each draw a model is trained on `labels` samples; then two more, from the start, on these and `count`
others of the rest: those that `data next` chooses with the first model, and random ones. All have the same
validation samples; nothing is chosen on test.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy import bundle_of, measured
from modelyard.bundle import read_bundle
from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.data.packed import open_packed, pack
from modelyard.data.splits import TRUTH, DataConfig, make_splits
from modelyard.home import Home
from modelyard.inspection.label_next import choose
from modelyard.recipes.named import named
from modelyard.recipes.words import Words
from modelyard.sources.found import Unsorted
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest


@dataclass(frozen=True, slots=True)
class Gain:
    """Accuracy on the test split in percent, of one draw of the first labels."""

    draw: int
    before: float
    chosen: float
    """With those that `data next` chose."""
    random: float

    @property
    def gain(self) -> float:
        """Points over random ones."""
        return self.chosen - self.random


@dataclass(frozen=True, slots=True)
class Way:
    """How each of the models is trained."""

    data: str
    architecture: str
    preset: str
    home: Home

    def build(self, dataset: Dataset, labels: int, seed: int) -> BuildRequest:
        """Of a model that learns from all training samples but those of validation."""
        words = Words(
            dataset=self.data, architectures=(self.architecture,), preset=self.preset, seed=seed,
            assignments=(f"data.labels={labels}",),
        )  # fmt: skip
        (recipe,) = named(words).values()
        folder = self.home.data_step(dataset.digest)
        pack(dataset, folder)
        return BuildRequest(
            recipe=recipe, label=self.architecture, seed=seed, dataset_requested=self.data,
            data_step=folder.name, data_digest=dataset.digest, dataset=dataset.name,
        )  # fmt: skip


def next_gain(  # noqa: PLR0913 - what the command asks
    *,
    data: str = "mnist",
    architecture: str = "cnn",
    preset: str = "sprint",
    labels: int = 100,
    count: int = 100,
    draws: Sequence[int] = (0, 1, 2),
) -> list[Gain]:
    """One for each draw."""
    with tempfile.TemporaryDirectory() as folder:
        way = Way(data, architecture, preset, Home(Path(folder)))
        whole = open_packed(way.home.steps / prepare(data, way.home)["data_step"], verify=False)
        return [_gain(way, whole, labels, count, draw) for draw in draws]


def _gain(way: Way, whole: Dataset, labels: int, count: int, seed: int) -> Gain:
    splits = make_splits(whole, DataConfig(labels=labels, labels_seed=seed))
    rest = splits.left_out
    if rest is None:
        raise ValueError(f"expected fewer labels than all, received {labels}")

    def with_labels(more: Split) -> Dataset:
        told = replace(more, labels_N=more.columns[TRUTH], columns={})
        train = splits.train.with_rows_of(told).with_rows_of(splits.validation)
        held_out = len(splits.validation)
        return make_dataset(whole.name, train, whole.test, whole.classes, validation_rows=held_out)

    def accuracy(more: Split) -> float:
        return measured(way.build(with_labels(more), labels + count, seed), way.home).test

    few = with_labels(rest.take(np.zeros(0, np.int64)))
    first = way.build(few, labels, seed)
    before, bundle = measured(first, way.home).test, read_bundle(bundle_of(first, way.home))
    places = [str(row) for row in range(len(rest))]
    chosen = choose(bundle, few, Unsorted(rest, places, ()), count, seed).split
    drawn = rest.take(np.random.default_rng(seed).permutation(len(rest))[:count])
    return Gain(seed, before, accuracy(chosen), accuracy(drawn))


def table(gains: Sequence[Gain]) -> str:
    """Markdown: a row for each draw, and their means."""
    rows = {str(one.draw): (one.before, one.chosen, one.random, one.gain) for one in gains}
    rows["mean"] = (*map(statistics.fmean, zip(*rows.values(), strict=True)),)  # type: ignore[assignment]
    lines = [f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} |" for name, row in rows.items()]
    return "\n".join(["| draw | before | chosen | random | gain |", "|---" * 5 + "|", *lines])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--architecture", default="cnn")
    parser.add_argument("--preset", default="sprint")
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2])
    asked = parser.parse_args()
    print(table(next_gain(**vars(asked))))


if __name__ == "__main__":
    main()
