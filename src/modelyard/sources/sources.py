"""The data set that a name or a path stands for: built in, imported, or files of one's own."""

from __future__ import annotations

import os
from pathlib import Path

from modelyard.data.datasets import Dataset, OnProgress, unheard
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.files import full_path
from modelyard.sources.cache import load_folder
from modelyard.sources.idx import holds_idx
from modelyard.sources.imports import as_asked, describe_import, import_names, open_import
from modelyard.sources.known import AUTO
from modelyard.sources.mirrors import SourceMissing
from modelyard.sources.named import load_named, where
from modelyard.sources.names import BUILT_IN, nearest
from modelyard.sources.unread import check_address


def load_dataset(
    name: str, options: FolderOptions | None = None, on_progress: OnProgress = unheard
) -> Dataset:
    """The data set `name`, verified, packed in the user's cache on first use.

    A built-in name, then an imported one, then a path (`./mnist` is always one): a folder, an archive, a
    table or parquet. `auto` is `mnist` where it can be had and `digits` where it cannot; a named one never
    falls back.
    Raises: DataError for an unknown name, a damaged file or when no source has it.
    """
    if name == "auto":
        return as_asked(_load_auto(on_progress), options)
    if name in BUILT_IN:
        return as_asked(load_named(name, on_progress, options), options)
    imported = import_names()
    if name in imported:
        return as_asked(open_import(name), options)
    check_address(name)
    if os.sep in name or Path(name).exists():
        folder = full_path(name)
        if holds_idx(folder):
            raise DataError(
                f"{folder}: holds IDX files; give them a name first: modelyard data import {name} --name NAME"
            )
        return load_folder(folder, options or FolderOptions(), on_progress)
    known = (*BUILT_IN, *imported)
    raise DataError(
        f"unknown data set {name!r}: expected auto, {', '.join(known)} or the path of a "
        "folder, archive or table of images or texts"
        f"{nearest(name, known)}"
    )


def available() -> dict[str, str]:
    """Named data set -> where it comes from."""
    return {name: where(name) for name in BUILT_IN} | {name: describe_import(name) for name in import_names()}


def _load_auto(on_progress: OnProgress) -> Dataset:
    wanted, otherwise = AUTO
    try:
        return load_named(wanted, on_progress)
    except SourceMissing:
        return load_named(otherwise, on_progress)
