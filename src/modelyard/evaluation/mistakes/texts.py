"""Wrongly answered texts on a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modelyard.data.datasets import Dataset
from modelyard.evaluation.metrics import Probabilities
from modelyard.evaluation.mistakes.worst import worst_mistakes
from modelyard.evaluation.pages import table_page
from modelyard.files import write_atomically
from modelyard.samples.text import text_of
from modelyard.terminal.printable import elided

MOST, LONGEST = 200, 500
"""Texts, and characters of one."""


def list_texts(dataset: Dataset, probabilities_NK: Probabilities, folder: Path) -> None:
    """mistakes.html in `folder`."""
    rows = [
        {
            "answer": mistake.answer,
            "probability": f"{mistake.probability:.1%}",
            "truth": mistake.truth,
            "text": elided(text_of(dataset.test.gather(np.array([mistake.row]))[0]), LONGEST),
            "row of test": mistake.row,
        }
        for mistake in worst_mistakes(dataset, probabilities_NK, MOST)
    ]
    wrong = int((probabilities_NK.argmax(1) != dataset.test.labels_N).sum())
    note = f"{wrong:,} of {len(dataset.test):,} test texts are answered wrongly; the most confident first."
    page = table_page(f"{dataset.name}: mistakes", note, rows)
    write_atomically(folder / "mistakes.html", page.encode())
