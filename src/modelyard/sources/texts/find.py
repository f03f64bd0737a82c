"""Texts of one's own: found at a path, and read into a data set."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from modelyard.data.datasets import Dataset, OnProgress
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples import Form
from modelyard.samples.names import TEXT
from modelyard.samples.ragged import LONGEST
from modelyard.samples.text_form import TextForm
from modelyard.sources.archives import ARCHIVE, unpack
from modelyard.sources.containers import name_of
from modelyard.sources.found import check_options
from modelyard.sources.names import safe_name
from modelyard.sources.texts.collected import Collected
from modelyard.sources.texts.divided import dataset_of
from modelyard.sources.texts.folders import TextFiles, text_files
from modelyard.sources.texts.tables import Tables, by_split, chosen_tables, state_of, tables_of
from modelyard.terminal.printable import listed

READER = f"2, Unicode {unicodedata.unidata_version}"
"""What another one has read is read anew; count it up when any file is read differently."""
COLUMNS = frozenset(("sample_column", "label_column"))
HEEDED = COLUMNS | {"longest"}
TELL_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class Texts:
    """Tables, text files, or an archive of them, which is not unpacked for a look."""

    source: Path
    options: FolderOptions
    content: Tables | TextFiles | None
    """None of an archive."""
    archive: Path
    """The source, or a lone one in it."""
    told: tuple[str, ...]

    @property
    def state(self) -> list[object]:
        """By names, sizes and times of the files."""
        return [state_of([self.archive]) if self.content is None else self.content.state, READER]

    @property
    def notes(self) -> tuple[str, ...] | None:
        """How it is read."""
        return None if self.content is None else self.told

    def peek(self) -> tuple[Form, int] | None:
        """Nothing: the classes are in the rows."""
        return None

    def read(self, scratch: Path, on_progress: OnProgress) -> Dataset:
        """Every row, in one pass; the texts lie in `scratch` until they are packed. Raises: DataError."""
        if self.content is None:
            return self._unpacked(scratch / "unpacked").read(scratch, on_progress)
        collected = Collected(TextForm(self.options.longest or LONGEST))
        with (scratch / "texts").open("wb") as stream:
            for count in collected.take(self.content.rows(), stream):
                if count % TELL_EVERY == 0:
                    on_progress(f"reading {self.source.name}", count, 0)
        name = safe_name(name_of(self.source))
        try:
            return dataset_of(name, collected, scratch / "texts", self.options, self.told)
        except DataError as error:
            raise DataError(f"{self.source}: {error}") from error

    def _unpacked(self, inner: Path) -> Texts:
        inner.mkdir()
        unpack(self.archive, inner, self.options.max_bytes)
        try:
            found = find_texts(inner, self.options)
        except DataError as error:
            raise DataError(str(error).replace(str(inner), str(self.source))) from error
        told = (f"unpacked: {self.archive.name}", *found.told)
        return replace(found, source=self.source, told=told)


def find_texts(source: Path, options: FolderOptions) -> Texts:
    """Raises: DataError for what holds no texts with their classes, or not clearly."""
    check_options(source, options, HEEDED, TEXT.many)
    if source.is_file() and ARCHIVE.fullmatch(source.name):
        return Texts(source, options, None, source, ())
    paths = tables_of(source) if source.is_dir() else [source]
    try:
        if not paths:
            return _in_folder(source, options)
        given, unused = by_split(paths)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    tables = list(chosen_tables(given, options))
    told = [f"read as: {chosen.told}" for chosen in tables[:3]]
    told += [f"and {len(tables) - 3} more"] if len(tables) > 3 else []
    told += [f"tables left out: {listed([path.name for path in unused])}"] if unused else []
    return Texts(source, options, Tables(tables), source, tuple(told))


def _in_folder(source: Path, options: FolderOptions) -> Texts:
    archives = [path for path in sorted(source.glob("[!.]*")) if ARCHIVE.fullmatch(path.name)]
    if len(archives) == 1:
        return Texts(source, options, None, archives[0], ())
    check_options(source, options, HEEDED - COLUMNS, "text files")
    files = text_files(source)
    endings = Counter(Path(path).suffix for path in files.strays)
    strays = [f"text files of no class left out: {endings.total()}"] if files.strays else []
    return Texts(source, options, files, source, (*files.labels.notes, *strays))
