"""Real texts: the lines of this project's pages, and which page each is of."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

from modelyard.data.datasets import Dataset
from tests.data.texts import text_dataset

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("architecture", "gpu", "results")


def page_lines(pages: tuple[str, ...] = PAGES, most: int = 90) -> list[tuple[str, int]]:
    """Longer lines of each page, in turn, with its number."""
    columns = [
        [(line, number) for line in (DOCS / f"{page}.md").read_text().splitlines() if len(line) > 30][:most]
        for number, page in enumerate(pages)
    ]
    return [pair for row in zip_longest(*columns) for pair in row if pair is not None]


def page_dataset(pages: tuple[str, ...] = PAGES, longest: int = 120) -> Dataset:
    """Three of four lines to train on, the others to test."""
    lines = page_lines(pages)
    train, test = (
        [pair for at, pair in enumerate(lines) if (at // 3 % 4 == 3) is last] for last in (False, True)
    )
    return text_dataset(train, test, pages, longest=longest, name="pages")
