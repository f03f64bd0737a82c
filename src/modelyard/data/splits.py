"""The validation split: as given, or stratified, seeded, taken from train."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from modelyard.config import Config, Part
from modelyard.data.datasets import UNKNOWN, Dataset, Labels, Rows, Split
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples.ragged import MOST_LONGEST
from modelyard.samples.reading import DEEPEST, LEAST_SIDE, MOST_PIXELS, Fit


class DataConfig(Config):
    """How a data set is divided."""

    validation_share: float = Field(0.1, gt=0, lt=0.5)
    """Share of the training samples held out for every choice (epoch, temperature)."""
    height: int | None = Field(None, ge=LEAST_SIDE, le=4096)
    """Image folders: height in pixels; None takes the majority's."""
    width: int | None = Field(None, ge=LEAST_SIDE, le=4096)
    """Image folders: width in pixels; None takes the majority's."""
    channels: Literal[1, 3] | None = None
    """Image folders: 1 grey, 3 colour; None takes the majority's."""
    fit: Fit = "stretch"
    """Image folders: how other proportions are brought to one: stretch, pad (with the ground) or crop (to the
    middle).
    """
    white: int | None = Field(None, ge=1, le=DEEPEST)
    """Image folders: the value that is white in greys of more than 8 bits; None takes the depth that the
    images use.
    """
    validation_as: Literal["validation", "test"] | None = None
    """Image folders: what a folder val/ is; None: the validation split beside test/, the test split without
    one.
    """
    max_pixels: Annotated[int, Part.HOW] = Field(MOST_PIXELS, ge=1)
    """Image folders: no picture with more pixels is read."""
    max_bytes: Annotated[int, Part.HOW] = Field(32_000_000_000, ge=1)
    """Archives and tables with images inside: what all of their files may unpack to together."""
    sample_column: str | None = Field(None, coerce_numbers_to_str=True)
    """Tables that hold their samples: the column of the texts, its number where there is no line of names;
    None finds it by its name.
    """
    label_column: str | None = Field(None, coerce_numbers_to_str=True)
    """Tables that hold their samples: the column of the labels; None finds it by its name."""
    longest: int | None = Field(None, ge=1, le=MOST_LONGEST)
    """Texts: characters that are read of each, what is longer is cut; None: 1024."""
    split_seed: int = Field(0, ge=0)
    """Seed of the split; kept apart from the training seed so that seeds compare on equal samples."""
    labels: int = Field(0, ge=0)
    """Train on so few samples, the same share of each class and at least one; 0: on all. Validation is not
    made smaller.
    """
    labels_seed: int = Field(0, ge=0)
    """Seed of that draw; another one is another draw."""
    unlabelled: Annotated[str | None, Part.HOW] = None
    """Folder, table or name of more samples, without labels: for pre-training and `training.unlabelled`."""

    def folder_options(
        self, *, skip_unreadable: bool = False, size_before: tuple[int, int] | None = None
    ) -> FolderOptions:
        """What of this says how a folder is read; `size_before` is the champion's height and width."""
        return FolderOptions(
            self.height, self.width, self.channels, skip_unreadable, self.fit, self.white, self.validation_as,
            self.max_pixels, self.max_bytes, size_before, self.sample_column, self.label_column, self.longest,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Splits:
    """The three splits that never share a row."""

    train: Split
    validation: Split
    test: Split
    left_out: Split | None = None
    """Training samples beyond `data.labels`: unlabelled, their classes in the column `TRUTH`."""


TRUTH = "truth"
"""Column of the true labels of samples that a training treats as unlabelled; `UNKNOWN` where nobody knows."""


def make_splits(dataset: Dataset, config: DataConfig) -> Splits:
    """Hold out the given validation samples, or `validation_share` of every class of train; of the rest keep
    `labels` samples.

    Raises: DataError when a class has too few, or there are too few or too many labels.
    """
    if dataset.validation_rows:
        held_out_N = np.arange(len(dataset.train)) >= len(dataset.train) - dataset.validation_rows
    else:
        held_out_N = stratified_mask(
            dataset.train.labels_N, len(dataset.classes), config, dataset.form.names.many
        )
    train, validation = (dataset.train.take(np.flatnonzero(mask)) for mask in (~held_out_N, held_out_N))
    if config.labels:
        many = dataset.form.names.many
        kept_N = np.zeros(len(train), np.bool_)
        kept_N[few_labels(train.labels_N, config.labels, config.labels_seed, many)] = True
        left_out = without_labels(train.take(np.flatnonzero(~kept_N)))
        return Splits(train.take(np.flatnonzero(kept_N)), validation, dataset.test, left_out)
    return Splits(train, validation, dataset.test)


def without_labels(split: Split) -> Split:
    """Its samples as if nobody had labelled them; the labels are the column `TRUTH`."""
    unknown_N = np.full(len(split), UNKNOWN, np.int64)
    return replace(split, labels_N=unknown_N, columns={TRUTH: split.labels_N})


def few_labels(labels_N: Labels, count: int, seed: int, many: str = "samples") -> Rows:
    """`count` row numbers in order: every class by its share (largest remainders first), at least one of
    each; messages call them `many`.

    Raises: DataError when there are fewer than classes or more than all.
    """
    classes, sizes_K = np.unique(labels_N, return_counts=True)
    if not len(classes) <= count <= len(labels_N):
        raise DataError(
            f"data.labels: expected {len(classes)} (one for each class) to {len(labels_N)} (all "
            f"training {many}), received {count}"
        )
    ideal_K = (count - len(classes)) * (sizes_K - 1) / max(1, (sizes_K - 1).sum())
    counts_K = 1 + np.floor(ideal_K).astype(int)
    counts_K[np.argsort(-(ideal_K % 1), kind="stable")[: count - counts_K.sum()]] += 1
    generator = np.random.default_rng(seed)
    drawn = [
        generator.permutation(np.flatnonzero(labels_N == label))[:number]
        for label, number in zip(classes, counts_K, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def stratified_mask(
    labels_N: Labels, num_classes: int, config: DataConfig, many: str = "samples"
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """True for the held-out rows [N]: the same share of each class, at least one."""
    generator = np.random.default_rng(config.split_seed)
    held_out_N = np.zeros(len(labels_N), np.bool_)
    for label in range(num_classes):
        rows = generator.permutation(np.flatnonzero(labels_N == label))
        if len(rows) < 2:
            raise DataError(
                f"class {label} has {len(rows)} training {many}; at least 2 are needed to hold one out"
            )
        held_out_N[rows[: max(1, round(len(rows) * config.validation_share))]] = True
    return held_out_N
