"""Some texts of each class, or of a list, in a table and on a page; and what tells them apart.

B texts of a block, F buckets, L length.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Dataset, Samples
from modelyard.evaluation.pages import table_page
from modelyard.files import write_atomically
from modelyard.inspection.measures.protocol import Row
from modelyard.samples.text import text_of
from modelyard.terminal.printable import elided

PER_CLASS, MOST_CLASSES, LONGEST = 10, 100, 300
"""Of a page: texts of a class, classes, and characters of a text."""

GRAM, BUCKETS = 4, 256
"""Bytes that are looked at together, and how many numbers they are hashed to."""


def examples(dataset: Dataset, per_class: int, classes: int, longest: int) -> list[dict[str, str]]:
    """Rows of class and sample: the first training texts of so many classes, at most so long."""
    rows: list[dict[str, str]] = []
    for label, name in enumerate(dataset.classes[:classes]):
        chosen = np.flatnonzero(dataset.train.labels_N == label)[:per_class]
        block_BL = dataset.train.gather(chosen)
        rows += [{"class": name, "sample": elided(text_of(text_L), longest)} for text_L in block_BL]
    return rows


def draw_examples(dataset: Dataset, path: Path) -> None:
    """HTML: a row for each text."""
    more = len(dataset.classes) - MOST_CLASSES
    note = "First training texts of each class" + (f"; {more} more classes are not shown" if more > 0 else "")
    rows = examples(dataset, PER_CLASS, MOST_CLASSES, LONGEST)
    write_atomically(path, table_page(dataset.name, f"{note}.", rows).encode())


def draw_rows(rows: Sequence[Row], note: str, path: Path) -> None:
    """HTML: a row for each text, numbered from 1."""
    shown = [{"": n, **row, "text": elided(row["text"], LONGEST)} for n, row in enumerate(rows, 1)]
    write_atomically(path, table_page("Texts", note, shown).encode())


def grams(block_BL: Samples) -> NDArray[np.float32]:
    """Square roots of how often each hash of `GRAM` bytes is in a text, small letters and capitals alike
    [B, F].
    """
    is_capital_BL = (block_BL >= ord("A")) & (block_BL <= ord("Z"))
    padded_BL = np.pad(block_BL | 32 * is_capital_BL.astype(np.uint8), ((0, 0), (0, GRAM - 1)))
    hashed_BL = np.zeros(block_BL.shape, np.uint32)
    for at in range(GRAM):  # FNV-1
        hashed_BL = (hashed_BL * np.uint32(16777619)) ^ padded_BL[:, at : at + block_BL.shape[1]]
    keys_BL = np.arange(len(block_BL))[:, None] * BUCKETS + hashed_BL % BUCKETS
    counts = np.bincount(keys_BL[block_BL != 0], minlength=len(block_BL) * BUCKETS)
    return np.sqrt(counts).reshape(len(block_BL), BUCKETS).astype(np.float32)
