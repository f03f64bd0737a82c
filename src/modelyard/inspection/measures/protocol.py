"""What of samples is measured, kind by kind. N samples of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Dataset, Samples, Split

Bin = Callable[[NDArray[np.float64]], NDArray[np.int64]]
"""Values of a feature [N] -> the bin of a histogram that each lies in [N]."""

Row = Mapping[str, Any]
"""What is known of a sample: its name, `answer`, `probability` and more."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What one pass over a split finds."""

    digests: list[bytes]
    """Of each sample's content [N]."""
    empty: int
    """Samples that show nothing."""
    features: Mapping[str, NDArray[np.float64]]
    """Of each sample [N]: features that have an order."""
    draws: Mapping[str, NDArray[np.int64]]
    """Of each sample one of a few categories [N], which have none."""
    overall: Mapping[str, tuple[float, ...]]
    """Of all samples together."""


class Measures(Protocol):
    """Of one kind of samples."""

    empty: str
    """How samples are called that show nothing."""
    sheet: str
    """What `draw` makes."""
    drift: str
    """The rules of validation for its features: `max_NAME`, and what they call drift."""
    bins: Mapping[str, Bin]
    """Feature -> its bins; in the order in which they are told."""
    draws: tuple[str, ...]

    def look_at(self, split: Split) -> Looked:
        """Read every sample once, a block at a time."""

    def facts(self, dataset: Dataset, train: Looked, test: Looked) -> dict[str, Any]:
        """What `data show` tells beyond counts and equal samples."""

    def advice(self, found: Mapping[str, Any]) -> Iterator[str]:
        """What to do about those facts, a line each."""

    def shown(self, sample: Samples) -> dict[str, str]:
        """Columns of a table that show a sample; none where a table cannot."""

    def draw(self, dataset: Dataset, path: Path) -> None:
        """Some samples of each class in a file that a person looks at."""

    def traits(self, split: Split) -> NDArray[np.float32]:
        """What tells samples apart at a glance [N, F]; only differences between them mean something."""

    def named(self, sample: Samples, place: str) -> dict[str, str]:
        """Columns of a list by which a person finds a sample that lies at `place`."""

    def draw_list(self, split: Split, rows: Sequence[Row], note: str, path: Path) -> None:
        """The samples in their order with what is known of each, in a file that a person looks at."""

    def from_schema_1(self, value: dict[str, Any]) -> dict[str, Any]:
        """A profile as JSON, of the first schema, in the present one.

        Raises: ValueError, LookupError, TypeError.
        """
