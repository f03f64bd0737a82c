"""The built-in data sets and where each is looked for: MODELYARD_DATA, Debian's folder, the publishers'
sites.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from modelyard.data.datasets import Dataset, OnProgress, Split, make_dataset, unheard
from modelyard.data.options import FolderOptions
from modelyard.data.packed import open_packed, pack
from modelyard.files import full_path, make_folder
from modelyard.home import cache_folder
from modelyard.sources.cifar import holds_cifar, read_cifar
from modelyard.sources.idx import holds_idx, read_idx_folder
from modelyard.sources.known import KNOWN
from modelyard.sources.mirrors import fetch_files
from modelyard.sources.texts.named import (
    docstrings_dataset,
    docstrings_variant,
    holds_named,
    named_variant,
    read_named,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files of some built-in data sets lie."""

    holds: Callable[[Path], bool]
    """Whether a folder has them; never, where they are part of what is installed."""
    read: Callable[[str, Path, FolderOptions, Path], Dataset]
    """Of a name, from a folder, with a scratch folder for what is large. Raises: DataError."""
    installed: str = ""
    """With what they came, for people."""
    variant: Callable[[FolderOptions], str] = lambda _options: ""
    """What tells one content of the name from another."""


LAYOUTS: Mapping[str, Layout] = {
    "idx": Layout(
        holds_idx,
        lambda name, folder, _options, _scratch: read_idx_folder(
            folder, name, KNOWN[name].classes, KNOWN[name].digests
        ),
    ),
    "cifar": Layout(holds_cifar, lambda _name, folder, _options, _scratch: read_cifar(folder)),
    "scikit-learn": Layout(lambda _folder: False, lambda name, *_: _digits(name), "inside scikit-learn"),
    "tables": Layout(holds_named, read_named, variant=named_variant),
    "docstrings": Layout(
        lambda _folder: False, docstrings_dataset, "the docstrings of installed packages", docstrings_variant
    ),
}


def load_named(name: str, on_progress: OnProgress = unheard, options: FolderOptions | None = None) -> Dataset:
    """A built-in data set, packed in the cache on first use.

    Raises: DataError for a damaged file; SourceMissing when no source has it.
    """
    options = options or FolderOptions()
    place = _packed(name, options)
    if place.exists():
        return open_packed(place)
    with tempfile.TemporaryDirectory(dir=make_folder(cache_folder())) as scratch:
        return pack(_read(name, options, Path(scratch), on_progress), place)


def where(name: str) -> str:
    """Where a built-in data set would come from, for people."""
    place, layout = _packed(name, FolderOptions()), _layout(name)
    if place.exists():
        return f"in the cache ({place})"
    if layout.installed:
        return f"{layout.installed}, needs no network"
    if folder := local_folder(name):
        return f"in {folder}"
    can_fetch = bool(KNOWN[name].torchvision)
    return "to download (modelyard data fetch)" if can_fetch else "not here (put it below MODELYARD_DATA)"


def is_here(name: str) -> bool:
    """Whether it can be had without the network."""
    in_cache = _packed(name, FolderOptions()).exists()
    return in_cache or bool(_layout(name).installed) or local_folder(name) is not None


def variants() -> list[Path]:
    """What is packed of other versions, or cut elsewhere, than a name stands for by itself."""
    usual = {_packed(name, FolderOptions()) for name in KNOWN}
    return sorted(path for path in (cache_folder() / "datasets").glob("[!.]*") if path not in usual)


def _layout(name: str) -> Layout:
    return LAYOUTS[KNOWN[name].layout]


def _packed(name: str, options: FolderOptions) -> Path:
    variant = _layout(name).variant(options)
    return cache_folder() / "datasets" / (f"{name}-{variant}" if variant else name)


def _read(name: str, options: FolderOptions, scratch: Path, on_progress: OnProgress) -> Dataset:
    layout = _layout(name)
    if layout.installed:
        return layout.read(name, scratch, options, scratch)
    source = "downloaded from its publisher"
    if folder := local_folder(name):
        source = str(folder)
    else:
        fetch_files(name, scratch, on_progress)
    dataset = layout.read(name, folder or scratch, options, scratch)
    return replace(dataset, origin={**dataset.origin, "source": source})


def local_folder(name: str) -> Path | None:
    """Where the files of a built-in data set lie on this machine, if they do."""
    return next((folder for folder in _local_folders(name) if _layout(name).holds(folder)), None)


def _local_folders(name: str) -> Iterator[Path]:
    for root in filter(None, os.environ.get("MODELYARD_DATA", "").split(os.pathsep)):
        base = full_path(root)
        yield base / name
        if torchvision := KNOWN[name].torchvision:
            yield base / torchvision / "raw"
    yield Path("/usr/share/datasets") / name


def _digits(name: str) -> Dataset:
    """scikit-learn's 1,797 digits of 8 x 8, brought to 28 x 28; every fifth image is the test split."""
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small_N1HW = torch.from_numpy(bunch.images)[:, None].float() / 16 * 255
    large_N1HW = torch.nn.functional.interpolate(small_N1HW, size=(28, 28), mode="bilinear")
    whole = Split(large_N1HW.round().to(torch.uint8).numpy(), bunch.target.astype(np.int64))
    is_test = np.arange(len(whole)) % 5 == 4
    train, test = (whole.take(np.flatnonzero(rows)) for rows in (~is_test, is_test))
    return replace(make_dataset(name, train, test, KNOWN[name].classes), origin={"source": "scikit-learn"})
