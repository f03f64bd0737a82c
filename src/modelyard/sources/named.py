"""The built-in data sets and where each is looked for: MODELYARD_DATA, Debian's folder, the publishers'
sites.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from modelyard.data.datasets import Dataset, OnProgress, Split, make_dataset, unheard
from modelyard.data.packed import open_packed, pack
from modelyard.files import full_path, make_folder
from modelyard.home import cache_folder
from modelyard.sources.cifar import holds_cifar, read_cifar
from modelyard.sources.idx import holds_idx, read_idx_folder
from modelyard.sources.known import KNOWN
from modelyard.sources.mirrors import fetch_files


def load_named(name: str, on_progress: OnProgress = unheard) -> Dataset:
    """A built-in data set, packed in the cache on first use.

    Raises: DataError for a damaged file; SourceMissing when no source has it.
    """
    if _packed(name).exists():
        return open_packed(_packed(name))
    return pack(_read(name, on_progress), _packed(name))


def where(name: str) -> str:
    """Where a built-in data set would come from, for people."""
    if _packed(name).exists():
        return f"in the cache ({_packed(name)})"
    if KNOWN[name].layout == "scikit-learn":
        return "inside scikit-learn, needs no network"
    folder = local_folder(name)
    return f"in {folder}" if folder else "to download (modelyard data fetch)"


def is_here(name: str) -> bool:
    """Whether it can be had without the network."""
    return _packed(name).exists() or KNOWN[name].layout == "scikit-learn" or local_folder(name) is not None


def _packed(name: str) -> Path:
    return cache_folder() / "datasets" / name


def _read(name: str, on_progress: OnProgress) -> Dataset:
    if KNOWN[name].layout == "scikit-learn":
        return _digits(name)
    if folder := local_folder(name):
        return replace(_read_folder(name, folder), origin={"source": str(folder)})
    with tempfile.TemporaryDirectory(dir=make_folder(cache_folder())) as scratch:
        fetch_files(name, Path(scratch), on_progress)
        return replace(_read_folder(name, Path(scratch)), origin={"source": "downloaded from its publisher"})


def _read_folder(name: str, folder: Path) -> Dataset:
    known = KNOWN[name]
    if known.layout == "cifar":
        return read_cifar(folder)
    return read_idx_folder(folder, name, known.classes, known.digests)


def local_folder(name: str) -> Path | None:
    """Where the files of a built-in data set lie on this machine, if they do."""
    holds = holds_cifar if KNOWN[name].layout == "cifar" else holds_idx
    return next((folder for folder in _local_folders(name) if holds(folder)), None)


def _local_folders(name: str) -> Iterator[Path]:
    for root in filter(None, os.environ.get("MODELYARD_DATA", "").split(os.pathsep)):
        base = full_path(root)
        yield base / name
        yield base / KNOWN[name].torchvision / "raw"
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
