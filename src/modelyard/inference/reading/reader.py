"""What brings samples of one kind to a released model's input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from modelyard.errors import DataError

Refuse = Callable[[DataError], None]


class Given(NamedTuple):
    """What a program gave."""

    batches: Iterable[NDArray[Any]]
    """As the graph takes it; made, and refused by DataError, one after the other."""
    rows: Sequence[str] = ()
    """What stands before each answer in a notebook; empty: its number."""


class Reader(Protocol):
    """For one model."""

    def find(self, words: Sequence[str], refuse: Refuse) -> tuple[list[Any], list[str]]:
        """What each word of a command line asks for, and what else lies in the folders among them."""

    def read(self, item: Any) -> Any:
        """One sample, as doubts take it, of what `find` found. Raises: DataError."""

    def shown(self, name: str) -> str:
        """What people read of what was asked, beside its answer."""

    def size_of(self, sample: Any) -> int:
        """Values of one sample, which bound how many are answered together."""

    def raw(self, samples: Sequence[Any]) -> NDArray[Any]:
        """What the graph takes of so many, at least one. Raises: DataError."""

    def given(self, samples: Any) -> Given:
        """What a program gives to `Model.predict`. Raises: DataError."""

    @property
    def told(self) -> str:
        """How large a sample is, for people."""

    @property
    def facts(self) -> dict[str, str]:
        """What a notebook shows of a model's input."""
