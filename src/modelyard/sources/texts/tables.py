"""Tables of texts: which files they are, and their rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples.scan import JUNK
from modelyard.sources.layout import split_of
from modelyard.sources.texts.collected import Row
from modelyard.sources.texts.columns import Columns, Head, chosen_columns, missing_labels, same_columns
from modelyard.sources.texts.delimited import open_delimited
from modelyard.sources.texts.lines import refused_as_table
from modelyard.sources.texts.records import open_parquet, open_records
from modelyard.sources.texts.values import Unfit
from modelyard.terminal.printable import listed

TABLE = re.compile(r"(?!.*submission)(.+)\.((csv|tsv|tab|txt|jsonl|ndjson)(\.gz)?|parquet)", re.IGNORECASE)
SURE = re.compile(r".+(?<!\.txt)(?<!\.txt\.gz)", re.IGNORECASE)
"""A table by its name alone; a text file is one if it is called as a split."""
MOST_TABLES = 10_000
SPLIT_NAMES = ("train", "validation", "test")


OTHER_WIDTH = Unfit("have more or fewer columns than the first line (quote texts that hold the delimiter)")


class Table(Protocol):
    """One file."""

    @property
    def path(self) -> Path: ...

    @property
    def head(self) -> Head: ...

    @property
    def has_names(self) -> bool: ...

    def rows(self, columns: Sequence[int]) -> Iterator[tuple[str, Sequence[object]]]:
        """Where each row is and its values, none where it has more or fewer than others."""


OPENERS: Mapping[str, Callable[[Path, int], Table]] = {
    ".parquet": open_parquet,
    ".jsonl": open_records,
    ".ndjson": open_records,
}
"""By ending; other tables are delimited."""


def open_table(path: Path, options: FolderOptions, has_names: bool | None = None) -> Table:
    """Look at its form and first rows. Raises: DataError."""
    ending = path.with_suffix("").suffix if path.suffix.lower() == ".gz" else path.suffix
    asked = [name for name in (options.sample_column, options.label_column) if name]
    with refused_as_table(path):
        if opener := OPENERS.get(ending.lower()):
            return opener(path, options.max_bytes)
        return open_delimited(path, options.max_bytes, asked, has_names)


def tables_of(folder: Path) -> list[Path]:
    """Those of a folder, of its folder data/ or of a lone one in it; a text file is one among others if it is
    called as a split.
    """
    inner = [path for path in sorted(folder.glob("[!.]*")) if path.is_dir() and not JUNK.fullmatch(path.name)]
    places = [folder, *(path for path in inner if len(inner) == 1 or path.name == "data")]
    for place in places:
        paths = [
            path for path in sorted(place.glob("[!.]*")) if TABLE.fullmatch(path.name) and path.is_file()
        ]
        found = [path for path in paths if SURE.fullmatch(path.name) or split_of(stem(path))]
        if found:
            return found[:MOST_TABLES]
    return []


def stem(path: Path) -> str:
    """Its name without endings."""
    found = TABLE.fullmatch(path.name)
    return found[1] if found else path.stem


def by_split(paths: Sequence[Path]) -> tuple[dict[Path, str], list[Path]]:
    """The tables that are read, in order, each with its split (empty: none is told); and those that are not.

    Where tables are called train and test, or as parts of these, others are left out. Raises: DataError
    where it is not clear which are meant.
    """
    for rule in (_exactly, _part_of, split_of):
        splits = {path: rule(stem(path)) for path in paths}
        given = {path: split for path, split in splits.items() if split}
        if "train" in given.values():
            order = sorted(given, key=lambda path: (SPLIT_NAMES.index(given[path]), path.name))
            return {path: given[path] for path in order}, [path for path in paths if path not in given]
    if len(paths) > 1:
        raise DataError(
            f"holds {len(paths)} tables ({listed([path.name for path in paths])}), none of which is called "
            "train; give one of them, or call them train and test"
        )
    return dict.fromkeys(paths, ""), []


def _exactly(name: str) -> str:
    return split_of(name) if re.fullmatch(r"[A-Za-z]+", name) else ""


def _part_of(name: str) -> str:
    """As the parts of a split are numbered: `train-00000-of-00002`."""
    found = re.fullmatch(r"([A-Za-z]+)[-_.]\d+(-of-\d+)?([-_.][0-9a-f]+)?", name)
    return split_of(found[1]) if found else ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A table, with the columns that are read and the split of its rows."""

    table: Table
    columns: Columns
    split: str

    def rows(self) -> Generator[Row, None, None]:
        """Raises: DataError."""
        places = [self.columns.sample, self.columns.label, self.columns.split]
        wanted = [place for place in places if place is not None]
        at_label = 1 if self.columns.label is not None else None
        at_split = len(wanted) - 1 if self.columns.split is not None else None
        name = self.table.path.name
        with refused_as_table(self.table.path):
            for where, values in self.table.rows(wanted):
                if not values:
                    yield f"{name} {where}", OTHER_WIDTH, None, self.split
                    continue
                split = split_of(str(values[at_split])) if at_split is not None else self.split
                label = values[at_label] if at_label is not None else None
                yield f"{name} {where}", values[0], label, split

    @property
    def told(self) -> str:
        """For people."""
        names, columns = self.table.head.names, self.columns
        parts = [f"texts from {names[columns.sample]}"]
        parts += [f"labels from {names[columns.label]}"] if columns.label is not None else []
        parts += [f"splits from {names[columns.split]}"] if columns.split is not None else []
        what = "columns" if self.table.has_names else "columns by number, as it has no line of names"
        return f"{self.table.path.name}, {what}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Tables:
    """All that are read."""

    parts: Sequence[Chosen]

    @property
    def state(self) -> list[object]:
        """Names, sizes and times."""
        return state_of(part.table.path for part in self.parts)

    def rows(self) -> Iterator[Row]:
        """One table after the other. Raises: DataError."""
        for part in self.parts:
            yield from part.rows()


def state_of(paths: Iterable[Path]) -> list[object]:
    """Another one when a file has changed."""
    stats = [(path, path.stat()) for path in paths]
    return [[str(path), status.st_size, status.st_mtime_ns] for path, status in stats]


def chosen_tables(paths: Mapping[Path, str], options: FolderOptions) -> Iterator[Chosen]:
    """Their forms; whether the first has a line of names, all have. Raises: DataError."""
    first: Chosen | None = None
    for path, split in paths.items():
        table = open_table(path, options, first.table.has_names if first else None)
        try:
            if first is None:
                columns = chosen_columns(table.head, options)
            else:
                columns = same_columns(table.head, first.table.head.names, first.columns)
            if columns.label is None and split in {"", "train"}:
                raise DataError(missing_labels(table.head, columns.sample))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        chosen = Chosen(table, columns, split)
        first = first or chosen
        yield chosen
