"""More samples like those of a data set, without labels: by name, or of one's own."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from modelyard.data.datasets import Dataset, OnProgress, unheard
from modelyard.data.options import FolderOptions
from modelyard.data.splits import without_labels
from modelyard.errors import DataError
from modelyard.files import full_path
from modelyard.sources.archives import ARCHIVE, unpack
from modelyard.sources.found import Unsorted
from modelyard.sources.kinds import KINDS
from modelyard.sources.sources import available, load_dataset
from modelyard.sources.unread import check_address


def load_unsorted(
    name: str, like: Dataset, options: FolderOptions, scratch: Path, on_progress: OnProgress = unheard
) -> Unsorted:
    """The training samples of a named set, or all that lies at a path, whatever its folders are called.

    What is read may lie in `scratch`, a folder that is there and empty. Raises: DataError.
    """
    if name in available():
        return _named(name, like, options, on_progress)
    check_address(name)
    source = full_path(name)
    if not source.exists():
        raise DataError(
            f"data.unlabelled: expected a folder, archive or table of {like.form.names.many}, or one of "
            f"{', '.join(available())}, received {name!r}, which is not there"
        )
    if source.is_file() and ARCHIVE.fullmatch(source.name):
        unpack(source, scratch / "unpacked", options.max_bytes)
        source = scratch / "unpacked"
    return KINDS[like.form.kind].take(source, like, options, scratch, on_progress)


def _named(name: str, like: Dataset, options: FolderOptions, on_progress: OnProgress) -> Unsorted:
    given = getattr(like.form, "longest", options.longest)
    found = load_dataset(name, replace(options, longest=given), on_progress)
    if found.form != like.form:
        raise DataError(
            f"data.unlabelled: expected {like.form.names.many} of {like.form.extent} ({like.form}) "
            f"as {like.name} has, received {name}, whose {found.form.names.many} are of {found.form.extent} "
            f"({found.form})"
        )
    rows = range(len(found.train))
    return Unsorted(without_labels(found.train), [f"{name}, train {row}" for row in rows], ())


def state_of(name: str) -> list[object]:
    """Another one when a file at the path has changed; nothing of a named set, which never does."""
    source = full_path(name)
    if not source.exists() or name in available():
        return []
    paths = sorted(source.rglob("*")) if source.is_dir() else [source]
    stats = [(path, path.stat()) for path in paths if os.access(path, os.F_OK)]
    return [[str(path), status.st_size, status.st_mtime_ns] for path, status in stats]
