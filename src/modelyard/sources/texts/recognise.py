"""Whether a path is texts: told by names of files and the first rows of tables, before anything is read."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.files import open_regular
from modelyard.samples.formats import ENDINGS
from modelyard.samples.scan import JUNK, is_picture
from modelyard.sources.archives import ARCHIVE, BROKEN
from modelyard.sources.layout import split_of
from modelyard.sources.texts.columns import is_clear, names_pictures
from modelyard.sources.texts.folders import ENDING
from modelyard.sources.texts.records import holds_pictures
from modelyard.sources.texts.tables import SURE, TABLE, open_table, stem, tables_of

MOST_FILES = 5000
"""That are looked at by name."""
MOST_OPENED = 50
ABOUT = re.compile(
    r"(.*/)?(readme|licen[sc]e|copying|notice|changelog|citation|sha256sums|md5sums)[^/]*|.*\.(md|json|ya?ml|py|sh|feat|vocab|pdf|html?)",
    re.I,
)
"""What lies beside data, and says nothing of their kind."""
NONE: frozenset[str] = frozenset()


def holds_texts(source: Path, options: FolderOptions) -> bool:
    """Of a table, a parquet file, an archive or a folder; False for all else, and what cannot be read."""
    try:
        if source.is_dir():
            return _folder_holds_texts(source, options)
        if not source.is_file():
            return False
        if TABLE.fullmatch(source.name):
            return _table_holds_texts(source, options, source.parent)
        return bool(ARCHIVE.fullmatch(source.name)) and _are_texts(_members(source))
    except (DataError, *BROKEN):
        return False


def _folder_holds_texts(folder: Path, options: FolderOptions) -> bool:
    tables = tables_of(folder)
    if tables and options.sample_column is not None:
        return True
    names = list(islice(_names_below(folder), MOST_FILES))
    if any(map(_is_picture_by_name, names)):
        return False
    unknown = [name for name in names if not _says_nothing(name) and not _may_be_texts(name)]
    if any(is_picture(f"{folder}/{name}") for name in unknown[:MOST_OPENED]):
        return False
    archives = [path for path in sorted(folder.glob("[!.]*")) if ARCHIVE.fullmatch(path.name)]
    if archives and (len(archives) > 1 or not holds_texts(archives[0], options)):
        return False
    if tables:
        return _table_holds_texts(tables[0], options, None)
    return bool(archives) or any(name.lower().endswith(ENDING) and "/" in name for name in names)


def _table_holds_texts(path: Path, options: FolderOptions, pictures_near: Path | None) -> bool:
    """pictures_near: where the pictures would lie that it names; None where there are none."""
    if options.sample_column is not None:
        return True
    packed = path.suffix.lower() == ".gz"
    if path.suffix.lower() == ".parquet" and holds_pictures(path):
        return False
    try:
        head = open_table(path, options).head
    except DataError:  # it says what is wrong with a table of texts
        return packed or pictures_near is None or not _pictures(pictures_near)
    near = _pictures(pictures_near) if pictures_near is not None and not packed else NONE
    if names_pictures(head, ENDINGS, near):
        return False
    is_table = len(head.names) > 1 and bool(head.rows or SURE.fullmatch(path.name))
    return is_table and (is_clear(head, options) or packed or not near)


def _pictures(folder: Path) -> frozenset[str]:
    """Names of pictures in it and below, with ending and without."""
    names = [
        name.rpartition("/")[2]
        for name in islice(_names_below(folder), MOST_FILES)
        if _is_picture_by_name(name)
    ]
    return frozenset((*names, *(name.rpartition(".")[0] for name in names)))


def _names_below(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not JUNK.fullmatch(name))
        here = Path(parent).relative_to(folder).as_posix().removeprefix(".")
        yield from (f"{here}/{name}" if here else name for name in names if not JUNK.fullmatch(name))


def _is_picture_by_name(name: str) -> bool:
    return name[name.rfind(".") :].lower() in ENDINGS


def _says_nothing(name: str) -> bool:
    return bool(ABOUT.fullmatch(name))


def _may_be_texts(name: str) -> bool:
    return bool(TABLE.fullmatch(name.rpartition("/")[2]))


def _members(archive: Path) -> Iterator[str]:
    """Names in it; of a tar archive the first, for they lie among the contents."""
    with open_regular(archive) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as opened:
                yield from (info.filename for info in opened.infolist()[:MOST_FILES] if not info.is_dir())
            return
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:*") as packed:
            yield from (member.name for member in islice(packed, MOST_FILES) if member.isfile())


def _are_texts(names: Iterable[str]) -> bool:
    """Whether all files are tables or text files, but for what lies beside data."""
    found = False
    for name in names:
        base = name.rpartition("/")[2]
        if any(map(JUNK.fullmatch, name.split("/"))) or _says_nothing(name):
            continue
        if not TABLE.fullmatch(base):
            return False
        found = found or bool(SURE.fullmatch(base) or "/" in name or split_of(stem(Path(base))))
    return found
