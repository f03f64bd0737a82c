"""Tables of lines and delimiters: CSV, TSV and their like, with a first line of names or without."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.sources.tables import LABELS as COMMON_LABELS
from modelyard.sources.texts.columns import LABELS, TEXTS, Head
from modelyard.sources.texts.lines import NEVER_CLOSED, lines_of, parsed, split

FIRST_LINES, FIRST_BYTES = 5000, 2**23
"""What the form of a table is told by."""
DELIMITERS = {".tsv": "\t,;|", ".tab": "\t,;|", ".txt": "\t;"}
"""By the ending, the likeliest first."""
OTHERWISE = ",;\t|"
QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"|[^"]*')
"""A field as RFC 4180 writes it."""
TOLD = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
"""A first line that tells Excel the delimiter; it is no row."""
SURE_LABELS = frozenset((*COMMON_LABELS, "sentiment", "intent", "category"))


@dataclass(frozen=True, slots=True)
class Delimited:
    """One file."""

    path: Path
    most_bytes: int
    delimiter: str
    how: str
    """quoted, escaped, or plain: quotes are letters as others are."""
    has_names: bool
    head: Head = field(repr=False)

    def rows(self, columns: Sequence[int]) -> Generator[tuple[str, Sequence[object]], None, None]:
        """Where each row ends, and its values. Raises: BROKEN."""
        width = len(self.head.names)
        for number, row in self._all():
            if len(row) != width:
                yield f"line {number}", ()
            else:
                yield f"line {number}", [row[column] for column in columns]

    def _all(self) -> Iterator[tuple[int, list[str]]]:
        lines = _lines(self.path, self.most_bytes)
        with closing(lines), closing(_rows(lines, self.delimiter, self.how)) as rows:
            if self.has_names:
                next(rows, None)
            yield from rows


def open_delimited(path: Path, most_bytes: int, asked: Iterable[str], has_names: bool | None) -> Delimited:
    """Tell the form by the first lines; quotes of tables with tabs by all of them.

    asked: names of columns that must be there; has_names: whether the first line is one, where another table
    has told. Raises: BROKEN.
    """
    ending = next((suffix for suffix in reversed(path.suffixes) if suffix.lower() != ".gz"), "").lower()
    with closing(lines_of(path, most_bytes)) as lines:
        told = TOLD.fullmatch(next(lines, ""))
    first = _first_lines(path, most_bytes)
    delimiter, how = _form(first, told[1] if told else DELIMITERS.get(ending, OTHERWISE))
    if delimiter == "\t":
        how = _quotes(path, most_bytes, how)
    rows = [row for _, row in _rows(first, delimiter, how, strict=False)]
    if has_names is None:
        has_names = bool(rows) and _is_header(rows, frozenset(asked))
    width = len(rows[0]) if rows else 0
    names = [name.strip() for name in rows[0]] if has_names else [str(place + 1) for place in range(width)]
    return Delimited(path, most_bytes, delimiter, how, has_names, Head(tuple(names), rows[has_names:]))


def _lines(path: Path, most_bytes: int) -> Generator[str, None, None]:
    """All; a blank one for that of Excel, so that the others keep their numbers. Raises: BROKEN."""
    with closing(lines_of(path, most_bytes)) as lines:
        if first := next(lines, ""):
            yield "\n" if TOLD.fullmatch(first) else first
        yield from lines


def _first_lines(path: Path, most_bytes: int) -> list[str]:
    found, left = list[str](), FIRST_BYTES
    with closing(_lines(path, most_bytes)) as lines:
        for line in lines:
            found.append(line)
            left -= len(line)
            if len(found) == FIRST_LINES or left < 0:
                break
    while found and not found[0].strip():
        del found[0]
    return found


def _rows(
    lines: Iterable[str], delimiter: str, how: str, *, strict: bool = True
) -> Generator[tuple[int, list[str]], None, None]:
    if how == "plain":
        return split(lines, delimiter)
    return parsed(lines, delimiter, escaped=how == "escaped", strict=strict)


def _form(first: Sequence[str], delimiters: str) -> tuple[str, str]:
    """The first delimiter that gives all rows equally many fields, else the one that most rows agree on."""
    best = (0.0, delimiters[0], "quoted")
    for strict in (True, False):
        for delimiter in delimiters:
            for how in ("quoted", "escaped") if any('\\"' in line for line in first) else ("quoted",):
                if (share := _agreement(first, delimiter, how, strict=strict)) > best[0]:
                    best = share, delimiter, how
        if best[0]:
            break
    return best[1:]


def _agreement(first: Sequence[str], delimiter: str, how: str, *, strict: bool) -> float:
    """The share of rows that have the usual number of fields, more than one; 0 where they break the rule."""
    widths = list[int]()
    try:
        widths.extend(len(row) for _, row in _rows(first, delimiter, how, strict=strict))
    except csv.Error as error:
        if NEVER_CLOSED not in str(error):  # by these lines, perhaps; not by the next
            return 0.0
    usual = max(set(widths), key=widths.count, default=0)
    return widths.count(usual) / len(widths) if usual > 1 else 0.0


def _quotes(path: Path, most_bytes: int, how: str) -> str:
    """Tables with tabs are written without quotes, and then a quote is a letter; or as CSV is.

    They are plain where every line has equally many tabs and some field holds a quote that CSV would not
    have written.
    """
    widths, has_letters, count = set[int](), False, 0
    with closing(_lines(path, most_bytes)) as lines:
        for line in lines:
            if not (stripped := line.rstrip("\r\n")):
                continue
            count += 1
            widths.add(stripped.count("\t"))
            if len(widths) > 1 and has_letters:
                break
            if '"' in stripped and not all(map(QUOTED.fullmatch, stripped.split("\t"))):
                has_letters = True
    if not has_letters or len(widths) > 1:
        return how
    try:  # a text of several lines, in quotes, may have as many tabs in each of them
        with closing(_lines(path, most_bytes)) as lines:
            rows = sum(1 for _ in _rows(lines, "\t", how))
    except csv.Error:
        return "plain"
    return how if rows < count else "plain"


def _is_header(rows: Sequence[Sequence[str]], asked: frozenset[str]) -> bool:
    """Whether the first row names the columns: with words that mean texts and labels, or as asked; not where
    one of its values comes again below it.
    """
    names = {name.strip() for name in rows[0]}
    plain = {re.sub(r"[\W_]", "", name).casefold() for name in names}
    if (plain & TEXTS and plain & set(LABELS)) or (asked and asked <= names):
        return True
    again = any(
        name.strip() and any(place < len(row) and row[place] == name for row in rows[1:])
        for place, name in enumerate(rows[0])
    )
    return not again and not any(len(name) > 60 for name in names)
