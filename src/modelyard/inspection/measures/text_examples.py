"""Some texts of each class, in a table and on a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modelyard.data.datasets import Dataset
from modelyard.evaluation.pages import table_page
from modelyard.files import write_atomically
from modelyard.samples.text import text_of
from modelyard.terminal.printable import elided

PER_CLASS, MOST_CLASSES, LONGEST = 10, 100, 300
"""Of a page: texts of a class, classes, and characters of a text."""


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
