"""The samples without labels of a training. N samples of a split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from modelyard.data.datasets import Dataset, Split
from modelyard.data.packed import open_unlabelled
from modelyard.data.splits import Splits, make_splits, without_labels
from modelyard.errors import ConfigError
from modelyard.training.slices import TrainSlice

GIVEN = "unlabelled"
"""Name of the step that holds samples without labels."""


def training_splits(dataset: Dataset, slice: TrainSlice, folder: Path | None) -> Splits:
    """As a training sees them. Raises: ConfigError, DataError."""
    return with_unlabelled(make_splits(dataset, slice.data), slice, folder)


def with_unlabelled(splits: Splits, slice: TrainSlice, folder: Path | None) -> Splits:
    """Training samples with the unlabelled ones behind them, where the objective learns of them. They alone
    are fewer where `max_train_images` says so.

    Raises: ConfigError where there are none.
    """
    if slice.pretrain is None and slice.training.unlabelled is None:
        return splits
    others = [open_unlabelled(folder)] if folder else []
    if splits.left_out is not None:
        others.append(splits.left_out)
    if slice.training.unlabelled is not None and not sum(map(len, others)):
        raise ConfigError(
            "training.unlabelled: expected samples without labels, received none; give --unlabelled PATH, or "
            "--labels N to treat the others as unlabelled"
        )
    room = slice.training.max_train_images - len(splits.train)
    if room >= 0:
        counts = [max(1, room * len(other) // max(1, sum(map(len, others)))) for other in others]
        others = [_some(other, count) for other, count in zip(others, counts, strict=True)]
    return replace(splits, train=_joined(splits.train, others))


def _some(split: Split, count: int) -> Split:
    """Evenly spaced."""
    return split.take(np.arange(count) * len(split) // count) if count < len(split) else split


def _joined(train: Split, others: list[Split]) -> Split:
    labelled = replace(train, columns=without_labels(train).columns)
    for other in others:
        labelled = labelled.with_rows_of(other)
    return labelled
