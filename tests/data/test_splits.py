"""Three splits that share no row."""

from __future__ import annotations

import numpy as np
import pytest

from modelyard.data.datasets import Dataset
from modelyard.data.splits import DataConfig, few_labels, make_splits, stratified_mask
from modelyard.errors import DataError
from tests.data.texts import text_dataset


def test_splits_are_disjoint_stratified_and_seeded(digits: Dataset) -> None:
    mask_N = stratified_mask(digits.train.labels_N, 10, DataConfig())
    shares = [mask_N[digits.train.labels_N == label].mean() for label in range(10)]
    assert max(shares) - min(shares) < 0.01
    parts = make_splits(digits, DataConfig())
    assert parts.train.rows_N is not None
    assert parts.validation.rows_N is not None
    assert sorted([*parts.train.rows_N, *parts.validation.rows_N]) == list(range(len(digits.train)))
    assert (stratified_mask(digits.train.labels_N, 10, DataConfig(split_seed=1)) != mask_N).any()


def test_few_labels_are_a_stratified_seeded_draw_of_train(digits: Dataset) -> None:
    whole, few, again, other = (
        make_splits(digits, DataConfig(labels=labels, labels_seed=seed))
        for labels, seed in ((0, 0), (103, 0), (103, 0), (103, 1))
    )
    assert whole.train.rows_N is not None
    assert few.train.rows_N is not None
    assert len(few.train) == 103
    assert set(few.train.rows_N) <= set(whole.train.rows_N)
    assert np.ptp(np.bincount(few.train.labels_N)) <= 2  # the classes of digits are nearly of one size
    assert again.train.rows_N is not None
    assert other.train.rows_N is not None
    assert few.train.rows_N.tolist() == again.train.rows_N.tolist()
    assert few.train.rows_N.tolist() != other.train.rows_N.tolist()
    assert np.array_equal(few.validation.labels_N, whole.validation.labels_N)


def test_every_class_keeps_a_label_and_large_ones_more() -> None:
    labels_N = np.repeat([0, 1, 2], [900, 97, 3])
    for count in (3, 7, 11, 500, 1000):
        assert len(few_labels(labels_N, count, 0)) == count
        assert set(labels_N[few_labels(labels_N, count, 0)]) == {0, 1, 2}
    assert np.bincount(labels_N[few_labels(labels_N, 103, 0)]).tolist() == [91, 11, 1]
    with pytest.raises(
        DataError,
        match=r"data\.labels: expected 3 \(one for each class\) to 1000 \(all training images\), received 2",
    ):
        few_labels(labels_N, 2, 0, "images")
    with pytest.raises(DataError, match="received 1001"):
        few_labels(labels_N, 1001, 0)


def test_a_class_of_one_image_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="class 1 has 1 training images; at least 2 are needed"):
        stratified_mask(np.array([0, 0, 1]), 2, DataConfig(), "images")


def test_texts_are_called_texts() -> None:
    pairs = [(f"text {at}", at % 2) for at in range(40)]
    dataset = text_dataset(pairs[:39], pairs[39:])
    with pytest.raises(DataError, match=r"\(all training texts\), received 1"):
        make_splits(dataset, DataConfig(labels=1))
    with pytest.raises(DataError, match="class 1 has 1 training texts; at least 2"):
        make_splits(text_dataset(pairs[:1] * 3 + pairs[1:2], pairs[:2]), DataConfig())
