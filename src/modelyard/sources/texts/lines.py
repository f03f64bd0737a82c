"""The lines of a table's file, gzipped or not: strict UTF-8, bounded."""

from __future__ import annotations

import csv
import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from modelyard.errors import DataError
from modelyard.files import open_regular
from modelyard.samples.text import UnreadableText, decoded

MOST_LINE = 2**26
"""Bytes; a text of 10 MB is read, and cut."""
NEVER_CLOSED = "a quotation mark is opened in this row and never closed"
FAULTS = {
    "end of data": NEVER_CLOSED,
    "new-line character": "it ends in a carriage return alone; write a line feed after each row",
}
"""What csv says -> what that means."""
BROKEN = (OSError, EOFError, ValueError, RuntimeError, TypeError, LookupError, zlib.error, csv.Error)
"""What a damaged or foreign file raises."""


def lines_of(path: Path, most_bytes: int) -> Generator[str, None, None]:
    """Each line with its end, which is a line feed: other separators may be part of a text.

    A mark of UTF-8 at the beginning (BOM) is no part of the first. Raises: `BROKEN`.
    """
    with open_regular(path) as file, unpacked(path, file) as stream:
        number, read = 1, 0
        while line := stream.readline(MOST_LINE):
            if (read := read + len(line)) > most_bytes:
                raise ValueError(f"more than {most_bytes / 1e9:.3g} GB; allow more by data.max_bytes")
            if len(line) == MOST_LINE:
                raise ValueError(f"line {number} has more than {MOST_LINE:,} bytes")
            try:
                text = decoded(line if number > 1 else line.removeprefix(BOM_UTF8))
            except UnreadableText as error:
                raise ValueError(f"line {number} is {error}") from None
            yield text
            number += 1


def unpacked(path: Path, file: BufferedReader) -> BufferedReader | gzip.GzipFile:
    """The stream itself, or what is packed in it."""
    return gzip.open(file) if path.suffix.lower() == ".gz" else file


@contextmanager
def refused_as_table(path: Path) -> Iterator[None]:
    """Raises: DataError that names the file, for whatever is wrong with it."""
    try:
        yield
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read as a table of texts ({reason})") from error


def parsed(
    lines: Iterable[str], delimiter: str, *, escaped: bool = False, strict: bool = True
) -> Generator[tuple[int, list[str]], None, None]:
    """Number of the last line and fields of each row that is not blank; quoted as in RFC 4180, or by
    backslashes where `escaped`. Raises: csv.Error.
    """
    before, last = csv.field_size_limit(MOST_LINE), 0  # of the whole process: it is put back
    try:
        reader = csv.reader(
            lines,
            delimiter=delimiter,
            strict=strict,
            doublequote=not escaped,
            escapechar="\\" if escaped else None,
        )
        while True:
            csv.field_size_limit(MOST_LINE)
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                known = (told for sign, told in FAULTS.items() if sign in str(error))
                raise csv.Error(f"line {last + 1}: {next(known, error)}") from None
            last = reader.line_num
            if any(map(str.strip, row)):
                yield last, row
    finally:
        csv.field_size_limit(before)


def split(lines: Iterable[str], delimiter: str) -> Generator[tuple[int, list[str]], None, None]:
    """The same where quotes are letters as others are."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line.removesuffix("\n").removesuffix("\r").split(delimiter)
