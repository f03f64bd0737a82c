"""Texts of which no class is told: tables, a file with a text in each line, a folder of text files."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from modelyard.data.datasets import UNKNOWN, Dataset, OnProgress, Split
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.files import read_regular
from modelyard.samples.scan import files_below
from modelyard.sources.found import Unsorted
from modelyard.sources.texts.collected import Collected, Row
from modelyard.sources.texts.columns import TEXTS, Columns, chosen_columns
from modelyard.sources.texts.find import TELL_EVERY
from modelyard.sources.texts.folders import ENDING
from modelyard.sources.texts.lines import MOST_LINE, lines_of, refused_as_table
from modelyard.sources.texts.tables import Chosen, open_table, tables_of
from modelyard.sources.texts.values import Unfit

LINES = (".txt", ".txt.gz")
"""Endings of files that hold a text in each line, unless they hold tabs."""


def unsorted_texts(
    source: Path, like: Dataset, options: FolderOptions, scratch: Path, on_progress: OnProgress
) -> Unsorted:
    """Cut as those of the data set `like` are. Raises: DataError."""
    collected, places, last = Collected(like.form), list[str](), [""]

    def noted() -> Iterator[Row]:
        for row in _rows(source, options):
            last[0] = row[0]
            yield row

    with (scratch / "texts").open("wb") as stream:
        for count in collected.take(noted(), stream):
            places.append(last[0])
            if count % TELL_EVERY == 0:
                on_progress(f"reading {source.name}", count, 0)
    if not places:
        raise DataError(f"{source}: holds no texts; {'; '.join(collected.faults.told()) or 'it is empty'}")
    split = Split(collected.stored(scratch / "texts"), np.full(len(places), UNKNOWN, np.int64))
    return Unsorted(split, places, tuple(f"left out: {fault}" for fault in collected.faults.told()))


def _rows(source: Path, options: FolderOptions) -> Iterator[Row]:
    tables = tables_of(source) if source.is_dir() else [source]
    for path in tables:
        yield from _of_table(path, options)
    if not tables:
        for path in files_below(source, "texts", "a table, or *.txt in it or below", ENDING)[0]:
            try:
                content: object = read_regular(path, MOST_LINE).removeprefix(BOM_UTF8)
            except OSError as error:
                content = Unfit(f"cannot be read ({error.strerror or error})")
            yield path.relative_to(source).as_posix(), content, None, ""


def _of_table(path: Path, options: FolderOptions) -> Iterator[Row]:
    """A text for each row, or line."""
    if path.name.lower().endswith(LINES) and not _has_tabs(path, options):
        with refused_as_table(path), closing(lines_of(path, options.max_bytes)) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{path.name} line {number}", line.removesuffix("\n").removesuffix("\r"), None, ""
        return
    options = replace(options, label_column=None)
    table = open_table(path, options)
    if options.sample_column not in table.head.names:  # it is called so in the data themselves
        options = replace(options, sample_column=None)
    if len(table.head.names) == 1:
        sample, is_named = 0, not table.head.by_meaning.keys().isdisjoint(TEXTS)
        table = table if is_named else open_table(path, options, has_names=False)
    else:
        try:
            sample = chosen_columns(table.head, options).sample
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    yield from Chosen(table, Columns(sample, None, None), "").rows()


def _has_tabs(path: Path, options: FolderOptions) -> bool:
    with refused_as_table(path), closing(lines_of(path, options.max_bytes)) as lines:
        return "\t" in next(lines, "")
