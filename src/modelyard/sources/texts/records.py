"""Tables whose rows are records: lines of JSON, and parquet."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.errors import DataError
from modelyard.files import parse_json
from modelyard.sources.parquet import HEAD_BYTES
from modelyard.sources.texts.columns import TEXTS, Head
from modelyard.sources.texts.delimited import FIRST_BYTES
from modelyard.sources.texts.lines import lines_of

FIRST_ROWS = 2000
BATCH_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Records:
    """One file of JSON, an object a line."""

    path: Path
    most_bytes: int
    head: Head = field(repr=False)
    has_names: bool = True

    def rows(self, columns: Sequence[int]) -> Iterator[tuple[str, Sequence[object]]]:
        """Where each row is, and its values. Raises: BROKEN."""
        names = [self.head.names[column] for column in columns]
        with closing(_objects(self.path, self.most_bytes)) as objects:
            for where, row in objects:
                yield where, [row.get(name) for name in names]


def open_records(path: Path, most_bytes: int) -> Records:
    """Raises: BROKEN."""
    first, left = list[Mapping[str, object]](), FIRST_BYTES
    with closing(_objects(path, most_bytes)) as objects:
        for _, row in objects:
            first.append(row)
            left -= sum(len(value) for value in row.values() if isinstance(value, str))
            if len(first) == FIRST_ROWS or left < 0:
                break
    names = tuple(dict.fromkeys(name for row in first for name in row))
    return Records(path, most_bytes, Head(names, [[row.get(name) for name in names] for row in first]))


def _objects(path: Path, most_bytes: int) -> Generator[tuple[str, Mapping[str, object]], None, None]:
    with closing(lines_of(path, most_bytes)) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line.encode())
            except ValueError as error:
                raise ValueError(f"line {number} is no JSON: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no object, as {{...}} is")
            yield f"line {number}", row


@dataclass(frozen=True, slots=True)
class Parquet:
    """One file."""

    path: Path
    most_bytes: int
    head: Head = field(repr=False)
    names: Mapping[str, Sequence[str]] = field(repr=False)
    """Column of whole numbers -> the names of its classes, as Hugging Face's data sets write them down."""
    has_names: bool = True

    def rows(self, columns: Sequence[int]) -> Iterator[tuple[str, Sequence[object]]]:
        """Where each row is, and its values. Raises: BROKEN."""
        wanted = [self.head.names[column] for column in columns]
        named = [self.names.get(name) for name in wanted]
        for number, values in enumerate(_values(self.path, self.most_bytes, wanted), 1):
            yield f"row {number}", list(map(_named, values, named))


def _named(value: object, names: Sequence[str] | None) -> object:
    if not names or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


def open_parquet(path: Path, most_bytes: int) -> Parquet:
    """Raises: BROKEN; DataError where pyarrow is missing."""
    with closing(_file(path)) as file:
        schema = file.schema_arrow
        names: list[str] = list(schema.names)
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = described.get("info", {}).get("features", {})
    classes = {
        name: known for name in names if isinstance(known := features.get(name, {}).get("names"), list)
    }
    rows, left = list[Sequence[object]](), FIRST_BYTES
    with closing(_values(path, most_bytes, names)) as values:
        for row in values:
            rows.append(row)
            left -= sum(len(value) for value in row if isinstance(value, str | bytes))
            if len(rows) == FIRST_ROWS or left < 0:
                break
    return Parquet(path, most_bytes, Head(tuple(names), rows), classes)


def holds_pictures(path: Path) -> bool:
    """Whether a column is of bytes that are no texts by its name. Raises: BROKEN; DataError where pyarrow is
    missing.
    """
    from pyarrow import types

    with closing(_file(path)) as file:
        kinds = {column.name.casefold(): column.type for column in file.schema_arrow}
    return any(
        (types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
        or ((types.is_binary(kind) or types.is_large_binary(kind)) and name not in TEXTS)
        for name, kind in kinds.items()
    )


def _file(path: Path) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise DataError(
            f"{path}: parquet is read by pyarrow, which is missing; pip install pyarrow"
        ) from error
    return ParquetFile(path, thrift_string_size_limit=HEAD_BYTES, thrift_container_size_limit=HEAD_BYTES)


def _values(path: Path, most_bytes: int, names: Sequence[str]) -> Generator[Sequence[object], None, None]:
    with closing(_file(path)) as file:
        size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
        if size > most_bytes:
            raise ValueError(f"more than {most_bytes / 1e9:.3g} GB; allow more by data.max_bytes")
        for batch in file.iter_batches(BATCH_ROWS, columns=list(names), use_threads=False):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
