"""Tables (CSV, TSV, JSONL) of file names and labels, beside the pictures or above them."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.errors import DataError
from modelyard.files import open_regular, parse_json
from modelyard.samples.scan import Scan
from modelyard.sources.layout import Labels, Place, normal, split_of, split_within
from modelyard.terminal.printable import listed

TABLE = re.compile(r"(?!.*submission)(.+)\.(csv|tsv|jsonl|ndjson)", re.IGNORECASE)
FILES = re.compile(r"(file|image|img|picture|photo)?(file)?(name|path|id)?s?")
LABELS = (
    "label",
    "labels",
    "labelname",
    "class",
    "classname",
    "category",
    "categoryname",
    "target",
    "species",
    "breed",
    "variety",
    "diagnosis",
    "dx",
    "finelabel",
    "tag",
    "y",
)
SPLITS = ("split", "subset", "partition", "set", "dataset", "fold", "phase", "usage")
"""Names of columns, without case and signs; the first that is there counts."""
MOST_BYTES, MOST_LINE, MOST_ROWS, MOST_TABLES = 1_000_000_000, 1_000_000, 10_000_000, 20
ABSOLUTE = re.compile(r"/|[A-Za-z]:/")
FIRST_ROWS = 100
"""One of these must name a picture."""
Row = dict[str, str]


def rows_of(path: Path) -> Generator[Row, None, None]:
    """Each row as column -> text. Raises: DataError for a table that is too large, or not in UTF-8."""
    try:
        with io.TextIOWrapper(open_regular(path), "utf-8-sig", newline="") as stream:
            if os.fstat(stream.fileno()).st_size > MOST_BYTES:
                raise ValueError(f"larger than {MOST_BYTES / 1e9:.0f} GB")
            lines = _lines(stream)
            rows = _json_rows(lines) if path.suffix.lower() in {".jsonl", ".ndjson"} else _csv_rows(lines)
            for number, row in enumerate(rows):
                if number == MOST_ROWS:
                    raise ValueError(f"more than {MOST_ROWS:,} rows")
                yield row
    except (OSError, ValueError, csv.Error) as error:
        reason = (
            "not in UTF-8" if isinstance(error, UnicodeError) else getattr(error, "strerror", None) or error
        )
        raise DataError(
            f"{path.name}: cannot be read as a table ({reason}); expected UTF-8 text, a row for each picture"
        ) from error


def _lines(stream: io.TextIOWrapper) -> Iterator[str]:
    for line in iter(lambda: stream.readline(MOST_LINE), ""):
        if len(line) == MOST_LINE:
            raise ValueError(f"a line of more than {MOST_LINE:,} characters")
        yield line


def _csv_rows(lines: Iterator[str]) -> Iterator[Row]:
    header = next(filter(str.strip, lines), "")
    delimiter = max(",;\t|", key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    for values in csv.reader(lines, delimiter=delimiter):
        if values:
            yield dict(zip(names, (value.strip() for value in values), strict=False))


def _json_rows(lines: Iterator[str]) -> Iterator[Row]:
    for line in filter(str.strip, lines):
        if not isinstance(row := parse_json(line.encode()), dict):
            raise ValueError("a line that is no object")
        yield {str(name): _text(value) for name, value in row.items()}


def _text(value: Any) -> str:
    """A value as a label or file name; a list or an object is neither."""
    return "" if value is None or isinstance(value, list | dict) else str(value).strip()


def columns_of(names: Iterable[str]) -> dict[str, str]:
    """Names of columns by what they are without case and signs."""
    return {re.sub(r"[\W_]", "", name).casefold(): name for name in names}


class _Names:
    """The pictures by every name that a table may give them; nothing else can be reached."""

    def __init__(self, scan: Scan) -> None:
        within = functools.cache(
            lambda parent: (scan.folder / parent).resolve().is_relative_to(scan.folder.resolve())
        )
        paths = (
            path
            for path in scan.pictures
            if within(path.rpartition("/")[0]) and not (scan.folder / path).is_symlink()
        )
        self.paths = {normal(path): path for path in paths}
        self.bare: dict[tuple[str, str], str] = {}
        """Split and name, with ending and without -> path; "" where there are two of them."""
        for path in self.paths.values():
            folder, _, name = normal(path).rpartition("/")
            for key in itertools.product({"", split_within(folder)}, {name, name.rpartition(".")[0] or name}):
                self.bare[key] = "" if key in self.bare else path

    def find(self, value: str, folder: str, split: str) -> str | None:
        """The picture that a row of a table in `folder` names."""
        value = normal(value.replace("\\", "/"))
        parts = value.split("/") if ABSOLUTE.match(value) else []  # of the machine that the table was made on
        for end in (value, *("/".join(parts[start:]) for start in range(1, len(parts)))):
            for path in (posixpath.normpath(posixpath.join(folder, end)), posixpath.normpath(end)):
                if path in self.paths:
                    return self.paths[path]
        return self.bare.get((split, value)) or self.bare.get(("", value)) or None


@dataclass(slots=True)
class _Read:
    places: dict[str, Place] = field(default_factory=dict)
    faults: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    doubtful: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def read_tables(scan: Scan, only: str, *, skip_unreadable: bool) -> tuple[Labels | None, str]:
    """Labels by the tables of a folder, or by the `only` one; None where they do not give them, and what is
    amiss.

    Rows that name no picture or have no label, and pictures with two, are left out where unreadable files
    are, else amiss.
    """
    tables, read, misfit = [only] if only else list(filter(TABLE.fullmatch, scan.others)), _Read(), ""
    if len(tables) > MOST_TABLES:  # notes of each picture
        return None, ""
    scan.others = [path for path in scan.others if path not in tables]
    names = _Names(scan) if tables else None
    for table in tables:
        try:
            before = len(read.places)
            _read_table(scan.folder, table, names or _Names(scan), read)
        except DataError as error:
            if len(read.places) > before:
                raise
            misfit = str(error)
    if not read.notes:
        return None, misfit
    told = [f"rows that {fault}: {len(rows)} ({listed(rows)})" for fault, rows in read.faults.items()]
    if told and not skip_unreadable:
        return None, f"{tables[0]}: {'; '.join(told)}; correct the table or pass --skip-unreadable"
    places = {path: place for path, place in read.places.items() if path not in read.doubtful}
    return Labels(places.get, set(places.values()), (*read.notes, *told)), ""


def _read_table(folder: Path, table: str, names: _Names, read: _Read) -> None:
    with closing(rows_of(folder / table)) as rows:
        first = list(itertools.islice(rows, FIRST_ROWS))
    columns = columns_of(name for row in first for name in row if name)
    found = listed(columns.values(), 8)
    label = next((columns[name] for name in LABELS if name in columns), None)
    split = next((columns[name] for name in SPLITS if name in columns), None)
    if split and not any(split_of(row.get(split, "")) for row in first):
        split = None
    here, table_split = posixpath.dirname(table), split_of(posixpath.basename(table).rpartition(".")[0])
    names_first = sorted(columns, key=lambda name: (not FILES.fullmatch(name), name == "id"))
    likely = [columns[name] for name in names_first if columns[name] not in {label, split}]

    def hits(name: str) -> int:
        paths = ((names.find(value := row.get(name, ""), here, table_split), value) for row in first)
        return sum(
            1 + path.endswith(value) for path, value in paths if path
        )  # with its ending it is no number of a row

    file = max(likely, key=hits, default="")
    if not file or not hits(file):
        raise DataError(
            f"{table}: names no pictures beside or below it, and no column is clearly texts, which "
            f"--text-column would name (columns: {found})"
        )
    if "." in file and names.find(file, here, table_split):
        raise DataError(
            f"{table}: begins with a picture ({found}); expected a first line of column names: file,label"
        )
    rest = [name for name in likely if name != file]
    label = label or (rest[0] if len(rest) == 1 else None)
    if label is None:
        raise DataError(f"{table}: no column of labels (columns: {found}); expected one called label")
    for row in rows_of(folder / table):
        value, name = row.get(file, ""), normal(row.get(label, ""))
        row_split = split_of(row.get(split, "")) if split else table_split
        path = names.find(value, here, row_split)
        if path is None:
            read.faults["name no picture in the folder"].append(value[:80])
        elif not name or (split and not row_split):
            read.faults["have no label" if not name else f"have no known split in {split}"].append(value[:80])
        elif read.places.setdefault(path, place := (name, row_split or split_within(path))) != place:
            read.faults["give a picture another label or split"].append(value[:80])
            read.doubtful.add(path)
    read.notes.append(
        f"read as: table {table}, files from {file}, labels from "
        f"{label}{f', splits from {split}' if split else ''}"
    )
