"""Data sets that a user brought into the cache under a name."""

from __future__ import annotations

import datetime
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from modelyard.data.datasets import Dataset, OnProgress, unheard
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.files import full_path
from modelyard.home import cache_folder
from modelyard.sources.cache import Entry, drop_entry, load_folder, open_entry, read_entry, store
from modelyard.sources.containers import name_of
from modelyard.sources.idx import holds_idx, read_idx_folder
from modelyard.sources.names import BUILT_IN, RESERVED, check_name, nearest, safe_name

UNSEEN = frozenset(("skip_unreadable", "max_pixels", "max_bytes", "size_before"))
"""Options of which the data do not tell whether they were heeded."""
WHOSE = {
    **dict.fromkeys(("height", "width", "channels", "fit", "white"), "image folders"),
    **dict.fromkeys(("sample_column", "label_column"), "tables of texts"),
    "longest": "texts of one's own",
}
"""What an option is for, where it is not for all folders."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What `import_dataset` did."""

    dataset: Dataset
    previous: str | None
    """Digest that the name stood for before; None when it was free."""


def import_dataset(
    path: Path, name: str, options: FolderOptions, on_progress: OnProgress = unheard
) -> Imported:
    """Bring a folder (also of IDX files), archive or table into the cache as `name`; what had the name is
    replaced in one step.

    Raises: DataError for a name that is not allowed and for data that are unfit.
    """
    check_name(name)
    path = full_path(path)
    dataset = (
        as_asked(read_idx_folder(path, name), options)
        if holds_idx(path)
        else load_folder(path, options, on_progress)
    )
    entry = read_entry(_place(name))
    previous = None if entry is None else str(entry["digest"])
    if entry is not None and previous == dataset.digest:
        return Imported(open_entry(entry), previous)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    origin = {"source": str(path), "imported": now, **dataset.origin}
    stored = store(replace(dataset, name=name, origin=origin), _place(name), {})
    return Imported(stored, previous)


def own_name(path: Path) -> str:
    """What the path is called, made to fit. Raises: DataError where it is the name of data that came from
    elsewhere.
    """
    path = full_path(path)
    name = safe_name(name_of(path))
    if (
        name in import_names()
        and (other := _entry(name)["origin"]["source"]) != str(path)
        and os.path.exists(other)  # noqa: PTH110
    ):
        raise DataError(
            f"{name} was imported from {other}; expected another --name for {path}, or --name "
            f"{name} to replace it"
        )
    return name


def as_asked(dataset: Dataset, options: FolderOptions | None) -> Dataset:
    """Raises: DataError when something is asked for that a data set, decoded long ago, does not have."""
    asked, plain = options or FolderOptions(), FolderOptions()
    has = asdict(dataset.form) | asdict(dataset.reading)
    has["validation_as"] = "validation" if dataset.validation_rows else "test"
    for option in (field.name for field in fields(asked) if field.name not in UNSEEN):
        wanted = getattr(asked, option)
        if wanted != getattr(plain, option) and (option not in has or wanted != has[option]):
            held = f"{option} {has[option]}" if option in has else f"no {option}"
            whose = WHOSE.get(option, f"{dataset.form.names.one} folders")
            raise DataError(
                f"{dataset.name} has {held}, data.{option}={wanted} is for {whose} only;"
                " leave it out, or import the folder again with it (data import --set)"
            )
    return dataset


def import_names() -> list[str]:
    """All names under which something was imported."""
    return sorted(place.stem for place in _place("*").parent.glob("*.json") if read_entry(place) is not None)


def is_named(dataset: str) -> bool:
    """Whether it is a built-in or imported name, which goes before a path."""
    return dataset in RESERVED or dataset in import_names()


def describe_import(name: str) -> str:
    """Where an imported data set came from, for people."""
    entry = _entry(name)
    origin = entry["origin"]
    return f"imported {origin['imported'][:10]} from {origin['source']}, digest {entry['digest'][:12]}"


def open_import(name: str, *, verify: bool = True) -> Dataset:
    """An imported data set, verified. Raises: DataError when it was altered."""
    return open_entry(_entry(name), verify=verify)


def remove_import(name: str) -> None:
    """Forget an imported data set; what was trained on it stays. Raises: DataError when nothing has that
    name.
    """
    names = import_names()
    if name not in names:
        kind = "built in and stays" if name in BUILT_IN else f"not imported{nearest(name, names)}"
        raise DataError(f"{name!r} is {kind}; imported are: {', '.join(names) or 'none'}")
    drop_entry(_place(name))


def _entry(name: str) -> Entry:
    entry = read_entry(_place(name))
    assert entry is not None, f"{name} is not imported"
    return entry


def _place(name: str) -> Path:
    return cache_folder() / "imports" / f"{name}.json"
