"""Archives and parquet files that stand for a folder: which they are, and the folder that they unpack to."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.errors import DataError
from modelyard.samples.scan import JUNK, scan_folder
from modelyard.sources.archives import ARCHIVE, unpack
from modelyard.sources.listing import NOT_USED, Listing, list_images
from modelyard.sources.parquet import TABLE as PARQUET_TABLE
from modelyard.sources.parquet import unpack_parquet
from modelyard.sources.tables import TABLE
from modelyard.sources.unread import refuse_file

if TYPE_CHECKING:
    from modelyard.data.options import FolderOptions

PARQUET = re.compile(r"(.+)\.(parquet)", re.IGNORECASE)
LINES = re.compile(r"(.+)\.((csv|tsv|tab|txt|jsonl|ndjson)(\.gz)?)", re.IGNORECASE)
"""Tables that only hold their samples themselves."""


def name_of(source: Path) -> str:
    """What a folder, archive or table is called, without ending: `pets` for `pets.tar.gz`."""
    kinds = (ARCHIVE, PARQUET, TABLE, LINES)
    found = next(filter(None, (kind.fullmatch(source.name) for kind in kinds)), None)
    return found[1] if found and not source.is_dir() else source.name


def containers_of(source: Path) -> list[Path]:
    """The archive or parquet file that was given, or those of a folder without pictures (or a lone one in
    it), with tables beside them.

    Raises: DataError for a file of another kind.
    """
    if source.is_file():
        if not any(kind.fullmatch(source.name) for kind in (ARCHIVE, PARQUET, TABLE)):
            refuse_file(source)
        return [] if TABLE.fullmatch(source.name) else [source]
    beside = [
        folder for folder in source.glob("[!.]*") if folder.is_dir() and not JUNK.fullmatch(folder.name)
    ]
    folders = [source, *(folder for folder in beside if len(beside) == 1 or folder.name == "data")]
    inside = [path for folder in folders for path in sorted(folder.glob("[!.]*")) if path.is_file()]
    found = [path for path in inside if ARCHIVE.fullmatch(path.name) or PARQUET.fullmatch(path.name)]
    if not found or scan_folder(source).pictures:
        return []
    return found + [path for path in inside if TABLE.fullmatch(path.name)]


def list_unpacked(source: Path, containers: list[Path], target: Path, options: FolderOptions) -> Listing:
    """The images of all containers, unpacked to `target`, which is new. Raises: DataError."""
    target.mkdir()
    left, several = options.max_bytes, sum(bool(ARCHIVE.fullmatch(path.name)) for path in containers) > 1
    for path in containers:
        if PARQUET.fullmatch(path.name):
            left -= unpack_parquet(path, target, left)
        elif ARCHIVE.fullmatch(path.name):
            left -= unpack(path, target / name_of(path) if several else target, left)
        elif not (target / path.name).exists():
            (target / path.name).symlink_to(path)
    listing = _list(target, source, options, PARQUET_TABLE if (target / PARQUET_TABLE).exists() else "")
    beside = [note for note in listing.notes if note.startswith(NOT_USED)]
    if beside and TABLE.fullmatch(containers[-1].name):
        raise DataError(
            f"{source}: {beside[0]}; take the table away, or give the archive alone, if its "
            "folders are the classes"
        )
    return replace(
        listing, notes=(f"unpacked: {', '.join(path.name for path in containers[:5])}", *listing.notes)
    )


def list_plain(source: Path, options: FolderOptions) -> Listing:
    """The images of a folder, or those that a table names, beside it or below. Raises: DataError."""
    is_table = source.is_file()
    return _list(source.parent if is_table else source, source, options, source.name if is_table else "")


def _list(folder: Path, source: Path, options: FolderOptions, table: str) -> Listing:
    return list_images(
        folder, options.validation_as, skip_unreadable=options.skip_unreadable, source=source, table=table
    )
