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
from modelyard.sources.mirrors import TORCHVISION_CLASS, fetch_files

DIGIT_NAMES = tuple(str(digit) for digit in range(10))
FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
KMNIST_NAMES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
IDX_CLASSES = {"mnist": DIGIT_NAMES, "fashion-mnist": FASHION_NAMES, "kmnist": KMNIST_NAMES}

# sha256 of the decompressed IDX content, as published with the original files.
CONTENT_DIGESTS = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}


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
    if name == "digits":
        return "inside scikit-learn, needs no network"
    folder = local_folder(name)
    return f"in {folder}" if folder else "to download (modelyard data fetch)"


def _packed(name: str) -> Path:
    return cache_folder() / "datasets" / name


def _read(name: str, on_progress: OnProgress) -> Dataset:
    if name == "digits":
        return _digits()
    if folder := local_folder(name):
        return replace(_read_folder(name, folder), origin={"source": str(folder)})
    with tempfile.TemporaryDirectory(dir=make_folder(cache_folder())) as scratch:
        fetch_files(name, Path(scratch), on_progress)
        return replace(_read_folder(name, Path(scratch)), origin={"source": "downloaded from its publisher"})


def _read_folder(name: str, folder: Path) -> Dataset:
    if name == "cifar10":
        return read_cifar(folder)
    return read_idx_folder(folder, name, IDX_CLASSES[name], CONTENT_DIGESTS.get(name))


def local_folder(name: str) -> Path | None:
    """Where the files of a built-in data set lie on this machine, if they do."""
    holds = holds_cifar if name == "cifar10" else holds_idx
    return next((folder for folder in _local_folders(name) if holds(folder)), None)


def _local_folders(name: str) -> Iterator[Path]:
    for root in filter(None, os.environ.get("MODELYARD_DATA", "").split(os.pathsep)):
        base = full_path(root)
        yield base / name
        yield base / TORCHVISION_CLASS[name] / "raw"
    yield Path("/usr/share/datasets") / name


def _digits() -> Dataset:
    """scikit-learn's 1,797 digits of 8 x 8, brought to 28 x 28; every fifth image is the test split."""
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small_N1HW = torch.from_numpy(bunch.images)[:, None].float() / 16 * 255
    large_N1HW = torch.nn.functional.interpolate(small_N1HW, size=(28, 28), mode="bilinear")
    whole = Split(large_N1HW.round().to(torch.uint8).numpy(), bunch.target.astype(np.int64))
    is_test = np.arange(len(whole)) % 5 == 4
    train, test = (whole.take(np.flatnonzero(rows)) for rows in (~is_test, is_test))
    return replace(make_dataset("digits", train, test, DIGIT_NAMES), origin={"source": "scikit-learn"})
