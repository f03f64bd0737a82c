"""The user's cache of folders and imports: packed content under its digest, and small entries
that name it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from modelyard.data.datasets import Dataset, OnProgress, unheard
from modelyard.data.options import FolderOptions
from modelyard.data.packed import open_packed, pack
from modelyard.files import make_folder, read_regular, sha256_of_json, write_json
from modelyard.home import cache_folder
from modelyard.sources.kinds import find

MOST_BYTES = 100_000_000
"""Of an entry; it names every file that was left out."""
Entry = dict[str, Any]


def load_folder(source: Path, options: FolderOptions, on_progress: OnProgress = unheard) -> Dataset:
    """The samples of a folder, archive, table or parquet file, read only when a file or an option has
    changed.

    An archive is not unpacked to tell that. A champion of the very size that images were brought to without
    it changes nothing.
    """
    found = find(source, options)
    state = found.state
    asked, before = (
        astuple(replace(options, size_before=None)),
        options.size_before and list(options.size_before),
    )
    place = cache_folder() / "folders" / f"{sha256_of_json([str(source), asked])[:16]}.json"
    with _one_at_a_time(place) as scratch:
        entry = read_entry(place)
        if entry is not None and entry["state"] == state and before in entry["sizes"]:
            opened = open_entry(entry)
            decoded = opened.origin["how decoded"]
            return (
                opened
                if found.notes is None
                else replace(opened, origin={**opened.origin, "notes": [*found.notes, *decoded]})
            )
        scratch.mkdir()
        dataset = found.read(scratch, on_progress)
        dataset = replace(dataset, origin={"source": str(source), **dataset.origin})
        return store(dataset, place, {"state": state, "sizes": [before, dataset.form.size]})


@contextmanager
def _one_at_a_time(place: Path) -> Iterator[Path]:
    """Of two that want the same folder one decodes; its scratch folder goes afterwards, or at the next try
    after a kill.
    """
    scratch = make_folder(place.parent) / f"{place.stem}.partial"
    with FileLock(place.with_suffix(".lock")):
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def store(dataset: Dataset, place: Path, facts: Entry) -> Dataset:
    """Pack the data set unless its content is there, and let the entry at `place` name it; what no entry
    names goes.
    """
    packed = pack(dataset, _packed(dataset.digest))
    before = read_entry(place)
    write_json(
        place, {"name": dataset.name, "digest": dataset.digest, "origin": dict(dataset.origin)} | facts
    )
    if before is not None:
        _sweep(before["digest"])
    return replace(packed, name=dataset.name, origin=dataset.origin)


def open_entry(entry: Entry, *, verify: bool = True) -> Dataset:
    """The verified data set that an entry names. Raises: DataError when it was altered or is gone."""
    return replace(
        open_packed(_packed(entry["digest"]), verify=verify), name=entry["name"], origin=entry["origin"]
    )


def read_entry(place: Path) -> Entry | None:
    """None where there is no entry, or only the rest of one, or its content is gone."""
    try:
        entry: Entry = json.loads(read_regular(place, MOST_BYTES))
        return entry if _packed(entry["digest"]).exists() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def drop_entry(place: Path) -> None:
    """Forget an entry, and its content where no other entry names it. Runs keep theirs: the blocks are
    shared.
    """
    entry = read_entry(place)
    place.unlink(missing_ok=True)
    if entry is not None:
        _sweep(entry["digest"])


def _packed(digest: str) -> Path:
    return cache_folder() / "packed" / digest[:16]


def _sweep(digest: str) -> None:
    if all(entry["digest"] != digest for entry in _entries()):
        shutil.rmtree(_packed(digest), ignore_errors=True)


def _entries() -> Iterator[Entry]:
    for kind in ("folders", "imports"):
        for place in (cache_folder() / kind).glob("*.json"):
            if (entry := read_entry(place)) is not None:
                yield entry
