"""Texts in all the ways in which people have them."""

from __future__ import annotations

from pathlib import Path

from modelyard.data.datasets import Dataset, Split
from modelyard.samples.text import text_of

PAIRS = [(f"the text of number {number}", "ab"[number % 2]) for number in range(20)]
"""Text and label."""


def rows(form: str) -> str:
    """A line for each pair; 0 is the text, 1 the label."""
    return "".join(form.format(*pair) + "\n" for pair in PAIRS)


def written(path: Path, content: str | bytes) -> Path:
    """The file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def labelled(split: Split, classes: tuple[str, ...]) -> list[tuple[str, str]]:
    """Text and label of each, in order."""
    texts = map(text_of, split.in_memory)
    return [(text, classes[label]) for text, label in zip(texts, split.labels_N, strict=True)]


def everything(dataset: Dataset) -> list[tuple[str, str]]:
    """Of both splits, sorted."""
    return sorted(
        pair for split in (dataset.train, dataset.test) for pair in labelled(split, dataset.classes)
    )
