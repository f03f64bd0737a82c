"""A teacher's answers beside the samples that they are about. N training samples, K classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from modelyard.data.splits import Splits
from modelyard.training.objectives.distilled import ANSWERS

ANSWERS_FILE = "answers.npz"


def with_answers(splits: Splits, folder: Path | None) -> Splits:
    """Training samples with the column `ANSWERS`, by stored row; without a folder as they are."""
    if folder is None:
        return splits
    with np.load(folder / ANSWERS_FILE, allow_pickle=False) as kept:
        answers_MK = kept["train"]
    answers_NK = answers_MK if splits.train.rows_N is None else answers_MK[splits.train.rows_N]
    train = replace(splits.train, columns={**splits.train.columns, ANSWERS: answers_NK})
    return replace(splits, train=train)
