"""Which kind of data lies at a path: the list to extend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard.data.datasets import Dataset, OnProgress
from modelyard.data.options import FolderOptions
from modelyard.sources.found import Found, Unsorted
from modelyard.sources.pictures import find_pictures
from modelyard.sources.texts.find import find_texts
from modelyard.sources.texts.recognise import holds_texts
from modelyard.sources.texts.unsorted import unsorted_texts
from modelyard.sources.unsorted_pictures import unsorted_pictures


@dataclass(frozen=True, slots=True)
class Kind:
    """Files of one's own, of one kind."""

    recognises: Callable[[Path, FolderOptions], bool]
    """Whether it is clearly that, by names and first rows; nothing is refused."""
    find: Callable[[Path, FolderOptions], Found]
    """Raises: DataError for what cannot be read."""
    take: Callable[[Path, Dataset, FolderOptions, Path, OnProgress], Unsorted]
    """All samples at a path without their classes, as those of a data set are; they may lie in the last
    path. Raises: DataError."""


KINDS: Mapping[str, Kind] = {
    "text": Kind(holds_texts, find_texts, unsorted_texts),
    "image": Kind(lambda _source, _options: True, find_pictures, unsorted_pictures),
}
"""They are asked in this order; the last one takes, or refuses, what no other has recognised."""


def kind_at(source: Path, options: FolderOptions) -> str:
    """Of a path that may not exist."""
    return next(name for name, kind in KINDS.items() if kind.recognises(source, options))


def find(source: Path, options: FolderOptions) -> Found:
    """Raises: DataError for what is of no kind, or cannot be read."""
    return KINDS[kind_at(source, options)].find(source, options)
