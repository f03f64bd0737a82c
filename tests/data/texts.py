"""Small data sets of texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.samples import TextForm
from modelyard.samples.ragged import ragged
from modelyard.samples.text import clean_text


def text_split(texts: Sequence[str], labels: Sequence[int], longest: int = 64) -> Split:
    """Texts as a data set holds them."""
    form = TextForm(longest)
    rows = [np.frombuffer(clean_text(text, longest).encode(), np.uint8) for text in texts]
    return Split(ragged(rows, form, np.uint8), np.array(labels, np.int64))


def text_dataset(
    train: Sequence[tuple[str, int]],
    test: Sequence[tuple[str, int]],
    classes: Sequence[str] = ("a", "b"),
    *,
    longest: int = 64,
    validation_rows: int = 0,
    name: str = "sayings",
) -> Dataset:
    """Of pairs of text and label."""
    first, second = (
        text_split([text for text, _ in pairs], [label for _, label in pairs], longest)
        for pairs in (train, test)
    )
    return make_dataset(name, first, second, tuple(classes), validation_rows=validation_rows)
