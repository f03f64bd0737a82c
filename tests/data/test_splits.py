"""Three splits that share no row."""

from __future__ import annotations

import numpy as np
import pytest

from modelyard.data.datasets import Dataset
from modelyard.data.splits import DataConfig, make_splits, stratified_mask
from modelyard.errors import DataError


def test_splits_are_disjoint_stratified_and_seeded(digits: Dataset) -> None:
    mask_N = stratified_mask(digits.train.labels_N, 10, DataConfig())
    shares = [mask_N[digits.train.labels_N == label].mean() for label in range(10)]
    assert max(shares) - min(shares) < 0.01
    parts = make_splits(digits, DataConfig())
    assert parts.train.rows_N is not None
    assert parts.validation.rows_N is not None
    assert sorted([*parts.train.rows_N, *parts.validation.rows_N]) == list(range(len(digits.train)))
    assert (stratified_mask(digits.train.labels_N, 10, DataConfig(split_seed=1)) != mask_N).any()


def test_a_class_of_one_image_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="class 1 has 1 training images; at least 2 are needed"):
        stratified_mask(np.array([0, 0, 1]), 2, DataConfig())
