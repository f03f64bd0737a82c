"""Where a named data set comes from: cache, MODELYARD_DATA, Debian's folder, torchvision's mirrors."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from modelyard.data.datasets import Dataset, Split, make_dataset, open_packed, pack
from modelyard.data.folder import read_folder
from modelyard.data.idx import read_idx
from modelyard.errors import DataError
from modelyard.home import cache_folder

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
IDX_CLASSES = {
    "mnist": DIGIT_NAMES,
    "fashion-mnist": FASHION_NAMES,
    "kmnist": KMNIST_NAMES,
}
TORCHVISION_CLASS = {
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "cifar10": "CIFAR10",
}
NAMES = ("digits", "mnist", "fashion-mnist", "kmnist", "cifar10")
MIRROR_TIMEOUT_S = 8.0

# sha256 of the decompressed IDX content, as published with the original files.
CONTENT_DIGESTS = {
    (
        "mnist",
        "train-images-idx3-ubyte",
    ): "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    (
        "mnist",
        "train-labels-idx1-ubyte",
    ): "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    (
        "mnist",
        "t10k-images-idx3-ubyte",
    ): "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    (
        "mnist",
        "t10k-labels-idx1-ubyte",
    ): "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    (
        "fashion-mnist",
        "train-images-idx3-ubyte",
    ): "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    (
        "fashion-mnist",
        "train-labels-idx1-ubyte",
    ): "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    (
        "fashion-mnist",
        "t10k-images-idx3-ubyte",
    ): "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    (
        "fashion-mnist",
        "t10k-labels-idx1-ubyte",
    ): "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def load_dataset(name: str, *, skip_unreadable: bool = False) -> Dataset:
    """The data set `name`, packed in the user's cache on first use.

    `auto` is `mnist` where it can be had and `digits` where it cannot; a named one never falls back.
    Raises: DataError for an unknown name, a damaged file or when no source has it.
    """
    if name == "auto":
        return _load_auto()
    if name in NAMES:
        return _load_named(name)
    if os.sep in name or Path(name).is_dir():
        return read_folder(Path(name).expanduser().resolve(), skip_unreadable=skip_unreadable)
    raise DataError(f"unknown data set {name!r}: expected auto, {', '.join(NAMES)} or the path of an image folder")


def _load_auto() -> Dataset:
    try:
        return _load_named("mnist")
    except SourceMissing:
        return _load_named("digits")


def _load_named(name: str) -> Dataset:
    cached = cache_folder() / "datasets" / name
    if not (cached / "dataset.json").exists():
        pack(_read_source(name), cached)
    return open_packed(cached)


class SourceMissing(DataError):
    """No source has the data set."""


def _read_source(name: str) -> Dataset:
    if name == "digits":
        return _digits()
    for folder in _local_folders(name):
        if name in IDX_CLASSES and _has_idx(folder):
            return _read_idx_folder(name, folder)
    return _from_mirror(name)


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
    return make_dataset(
        "digits",
        whole.take(np.flatnonzero(~is_test)),
        whole.take(np.flatnonzero(is_test)),
        DIGIT_NAMES,
    )


def _from_mirror(name: str) -> Dataset:
    import torchvision

    dataset_class = getattr(torchvision.datasets, TORCHVISION_CLASS[name])
    with tempfile.TemporaryDirectory() as folder, _socket_timeout(MIRROR_TIMEOUT_S):
        try:
            train, test = (dataset_class(folder, train=is_train, download=True) for is_train in (True, False))
        except (OSError, RuntimeError) as error:
            raise SourceMissing(
                f"{name} is in no local folder and its mirrors cannot be reached ({type(error).__name__});"
                f" put its files into a folder {name}/ and set MODELYARD_DATA to the folder above it"
            ) from error
        classes = IDX_CLASSES.get(name) or tuple(train.classes)
        return make_dataset(name, _torchvision_split(train), _torchvision_split(test), classes)


def _torchvision_split(source: object) -> Split:
    images = np.asarray(source.data)  # type: ignore[attr-defined]
    images_NHWC = images[..., None] if images.ndim == 3 else images
    return Split(images_NHWC.transpose(0, 3, 1, 2), np.asarray(source.targets, np.int64))  # type: ignore[attr-defined]


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
