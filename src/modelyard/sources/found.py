"""What lies at a path, looked at but not read: the same for files of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from modelyard.data.datasets import Dataset, OnProgress, Split
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples import Form

COMMON = frozenset(("skip_unreadable", "validation_as", "max_bytes", "size_before"))
"""Options that files of every kind heed."""


@dataclass(frozen=True, slots=True)
class Unsorted:
    """Samples of which no class is told."""

    split: Split
    places: Sequence[str]
    """Where each of them was, for people."""
    notes: tuple[str, ...]


class Found(Protocol):
    """A folder, archive or table of one's own."""

    @property
    def state(self) -> list[object]:
        """In JSON; another one when a file has changed, or would be read differently."""

    @property
    def notes(self) -> tuple[str, ...] | None:
        """How it is read and what is left out, a line each, for people; None: only reading tells."""

    def peek(self) -> tuple[Form, int] | None:
        """The samples' form, very likely, and the number of classes; None: only reading tells."""

    def read(self, scratch: Path, on_progress: OnProgress) -> Dataset:
        """All of it; what is too large for memory lies in `scratch`, which is there. Raises: DataError."""


def check_options(source: Path, options: FolderOptions, heeded: frozenset[str], many: str) -> None:
    """Raises: DataError when something is asked for that files of this kind do not have."""
    plain = FolderOptions()
    for name in (field.name for field in fields(options)):
        value = getattr(options, name)
        if name not in COMMON | heeded and value != getattr(plain, name):
            raise DataError(
                f"{source}: data.{name}={value} is not for {many}, which it holds; leave it out, or expected "
                f"for {many}: {', '.join(f'data.{option}' for option in sorted(heeded))}"
            )
