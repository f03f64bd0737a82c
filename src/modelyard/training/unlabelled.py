"""The samples without labels of a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modelyard.data.datasets import Split
from modelyard.data.packed import open_unlabelled
from modelyard.data.splits import Splits, without_labels
from modelyard.errors import ConfigError
from modelyard.training.slices import TrainSlice

GIVEN = "unlabelled"
"""Name of the step that holds samples without labels."""


def with_unlabelled(splits: Splits, slice: TrainSlice, folder: Path | None) -> Splits:
    """Training samples with the unlabelled ones behind them, where the objective learns of them.

    Raises: ConfigError where there are none.
    """
    if slice.pretrain is None and slice.training.unlabelled is None:
        return splits
    others = [open_unlabelled(folder)] if folder else []
    if splits.left_out is not None:
        others.append(splits.left_out)
    if slice.training.unlabelled is not None and not others:
        raise ConfigError(
            "training.unlabelled: expected samples without labels, received none; give --unlabelled PATH, or "
            "--labels N to treat the others as unlabelled"
        )
    return replace(splits, train=_joined(splits.train, others))


def _joined(train: Split, others: list[Split]) -> Split:
    labelled = replace(train, columns=without_labels(train).columns)
    for other in others:
        labelled = labelled.with_rows_of(other)
    return labelled
