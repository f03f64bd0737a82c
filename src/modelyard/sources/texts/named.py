"""The built-in data sets of texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modelyard.data.datasets import Dataset, make_dataset, unheard
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.files import sha256_of_json
from modelyard.samples.ragged import LONGEST
from modelyard.samples.text import AS_READ
from modelyard.samples.text_form import TextForm
from modelyard.sources.texts.docstrings import PACKAGES, read_docstrings, versions
from modelyard.sources.texts.find import find_texts
from modelyard.sources.texts.tables import by_split, tables_of


def holds_named(folder: Path) -> bool:
    """Whether a folder has tables called train and test."""
    try:
        given, _ = by_split(tables_of(folder))
    except (DataError, OSError):
        return False
    return {"train", "test"} <= set(given.values())


def read_named(name: str, folder: Path, options: FolderOptions, scratch: Path) -> Dataset:
    """Raises: DataError."""
    found = find_texts(folder, FolderOptions(longest=options.longest))
    return replace(found.read(scratch, unheard), name=name)


def named_variant(options: FolderOptions) -> str:
    """Texts that are cut elsewhere are other data."""
    return "" if options.longest in {None, LONGEST} else str(options.longest)


def docstrings_dataset(name: str, _folder: Path, options: FolderOptions, _scratch: Path) -> Dataset:
    """Class: package. Its content depends on what is installed, which its notes say. Raises: DataError."""
    train, test = read_docstrings(TextForm(options.longest or LONGEST))
    dataset = make_dataset(name, train, test, PACKAGES, reading=AS_READ)
    told = ", ".join(f"{package} {version}" for package, version in versions().items())
    note = f"first sentences of the public docstrings of {told}; other versions have another digest"
    return replace(dataset, origin={"source": "installed packages", "notes": [note]})


def docstrings_variant(options: FolderOptions) -> str:
    """Of each set of versions one."""
    return "-".join(filter(None, [named_variant(options), sha256_of_json(versions())[:8]]))
