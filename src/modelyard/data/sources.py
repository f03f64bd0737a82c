"""Where a named data set comes from: cache, MODELYARD_DATA, Debian's folder, torchvision's mirrors."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from modelyard.data.datasets import Dataset, Split, make_dataset, open_packed, pack
from modelyard.data.folder import FolderOptions, read_folder
from modelyard.data.idx import read_idx
from modelyard.data.mirrors import TORCHVISION_CLASS, SourceMissing, fetch_from_mirror
from modelyard.errors import DataError
from modelyard.home import cache_folder

DIGIT_NAMES = tuple(str(digit) for digit in range(10))
FASHION_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
KMNIST_NAMES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
IDX_CLASSES = {"mnist": DIGIT_NAMES, "fashion-mnist": FASHION_NAMES, "kmnist": KMNIST_NAMES}
NAMES = ("digits", "mnist", "fashion-mnist", "kmnist", "cifar10")

# sha256 of the decompressed IDX content, as published with the original files.
CONTENT_DIGESTS = {
    ("mnist", "train-images-idx3-ubyte"): "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ("mnist", "train-labels-idx1-ubyte"): "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ("mnist", "t10k-images-idx3-ubyte"): "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ("mnist", "t10k-labels-idx1-ubyte"): "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ("fashion-mnist", "train-images-idx3-ubyte"): "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ("fashion-mnist", "train-labels-idx1-ubyte"): "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ("fashion-mnist", "t10k-images-idx3-ubyte"): "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ("fashion-mnist", "t10k-labels-idx1-ubyte"): "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def load_dataset(name: str, options: FolderOptions | None = None) -> Dataset:
    """The data set `name`, packed in the user's cache on first use.

    `auto` is `mnist` where it can be had and `digits` where it cannot; a named one never falls back.
    Raises: DataError for an unknown name, a damaged file or when no source has it.
    """
    if name == "auto":
        return _load_auto()
    if name in NAMES:
        return _load_named(name)
    if os.sep in name or Path(name).is_dir():
        return _load_folder(Path(name).expanduser().resolve(), options or FolderOptions())
    raise DataError(
        f"unknown data set {name!r}: expected auto, {', '.join(NAMES)} or the path of an image folder{_nearest(name)}"
    )


def available() -> dict[str, str]:
    """Named data set -> where it would come from."""
    return {name: _where(name) for name in NAMES}


def _where(name: str) -> str:
    if _is_cached(name):
        return f"in the cache ({_cached(name)})"
    if name == "digits":
        return "inside scikit-learn, needs no network"
    folder = next((folder for folder in _local_folders(name) if name in IDX_CLASSES and _has_idx(folder)), None)
    return f"in {folder}" if folder else "to download (modelyard data fetch)"


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, NAMES, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _load_auto() -> Dataset:
    try:
        return _load_named("mnist")
    except SourceMissing:
        return _load_named("digits")


def _cached(name: str) -> Path:
    return cache_folder() / "datasets" / name


def _is_cached(name: str) -> bool:
    return (_cached(name) / "dataset.json").exists()


def _load_named(name: str) -> Dataset:
    if not _is_cached(name):
        pack(_read_source(name), _cached(name))
    return open_packed(_cached(name))


def _load_folder(folder: Path, options: FolderOptions) -> Dataset:
    """A folder is decoded each time, since its files may have changed; the copy is named by its content."""
    cache = cache_folder() / "folders"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        dataset = read_folder(folder, options, Path(scratch))
        packed = cache / dataset.digest[:16]
        if not packed.exists():
            pack(dataset, packed)
    return open_packed(packed)


def _read_source(name: str) -> Dataset:
    if name == "digits":
        return _digits()
    for folder in _local_folders(name):
        if name in IDX_CLASSES and _has_idx(folder):
            return _read_idx_folder(name, folder)
    return fetch_from_mirror(name, IDX_CLASSES.get(name))


def _local_folders(name: str) -> Iterator[Path]:
    for root in filter(None, os.environ.get("MODELYARD_DATA", "").split(os.pathsep)):
        base = Path(root).expanduser().resolve()
        yield base / name
        yield base / TORCHVISION_CLASS[name] / "raw"
    yield Path("/usr/share/datasets") / name


def _has_idx(folder: Path) -> bool:
    return any(folder.glob("train-images-idx3-ubyte*"))


def _read_idx_folder(name: str, folder: Path) -> Dataset:
    def array(stem: str, num_axes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.exists():
                return read_idx(path, num_axes=num_axes, digest=CONTENT_DIGESTS.get((name, stem)))
        raise DataError(f"{folder}: expected {stem} or {stem}.gz beside the other files; fetch the data set again")

    def split(part: str) -> Split:
        images_NHW = array(f"{part}-images-idx3-ubyte", 3)
        return Split(images_NHW[:, None], array(f"{part}-labels-idx1-ubyte", 1).astype(np.int64))

    return make_dataset(name, split("train"), split("t10k"), IDX_CLASSES[name])


def _digits() -> Dataset:
    """scikit-learn's 1,797 digits of 8 x 8, brought to 28 x 28; every fifth image is the test split."""
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small_N1HW = torch.from_numpy(bunch.images)[:, None].float() / 16 * 255
    large_N1HW = torch.nn.functional.interpolate(small_N1HW, size=(28, 28), mode="bilinear")
    whole = Split(large_N1HW.round().to(torch.uint8).numpy(), bunch.target.astype(np.int64))
    is_test = np.arange(len(whole)) % 5 == 4
    return make_dataset("digits", whole.take(np.flatnonzero(~is_test)), whole.take(np.flatnonzero(is_test)), DIGIT_NAMES)
