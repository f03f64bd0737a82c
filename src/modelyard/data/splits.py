"""The validation split: stratified, seeded, taken from train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from modelyard.config import Config
from modelyard.data.datasets import Dataset, Labels, Split
from modelyard.errors import DataError


class DataConfig(Config):
    """How a data set is divided."""

    validation_share: float = Field(0.1, gt=0, lt=0.5)
    """Share of the training images held out for every choice (epoch, temperature)."""
    height: int | None = Field(None, ge=4, le=4096)
    """Image folders: height in pixels; None takes the majority's."""
    width: int | None = Field(None, ge=4, le=4096)
    """Image folders: width in pixels; None takes the majority's."""
    channels: Literal[1, 3] | None = None
    """Image folders: 1 grey, 3 colour; None takes the majority's."""
    split_seed: int = Field(0, ge=0)
    """Seed of the split; kept apart from the training seed so that seeds compare on equal images."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The three splits that never share a row."""

    train: Split
    validation: Split
    test: Split


def make_splits(dataset: Dataset, config: DataConfig) -> Splits:
    """Hold out `validation_share` of every class of train.

    Raises: DataError when a class has too few images.
    """
    held_out_N = stratified_mask(dataset.train.labels_N, len(dataset.classes), config)
    train, validation = (dataset.train.take(np.flatnonzero(mask)) for mask in (~held_out_N, held_out_N))
    return Splits(train, validation, dataset.test)


def stratified_mask(labels_N: Labels, num_classes: int, config: DataConfig) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """True for the held-out rows [N]: the same share of each class, at least one."""
    generator = np.random.default_rng(config.split_seed)
    held_out_N = np.zeros(len(labels_N), np.bool_)
    for label in range(num_classes):
        rows = generator.permutation(np.flatnonzero(labels_N == label))
        if len(rows) < 2:
            raise DataError(f"class {label} has {len(rows)} training images; at least 2 are needed to hold one out")
        held_out_N[rows[: max(1, round(len(rows) * config.validation_share))]] = True
    return held_out_N
