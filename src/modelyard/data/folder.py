"""A folder of images: `class_name/*.png|jpg`, optionally below `train/` and `test/`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from modelyard.data.datasets import Dataset, Split, make_dataset
from modelyard.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
TEST_SHARE = 5  # without a test/ folder every fifth image of a class is the test split
GREY_MODES = {"1", "L", "I", "I;16", "F"}


def read_folder(folder: Path, *, skip_unreadable: bool) -> Dataset:
    """Read every image, brought to the majority's size and channels.

    Raises: DataError when the folder is missing, empty, has one class or unreadable files.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected class_name/*.png below it")
    train_root = folder / "train" if (folder / "train").is_dir() else folder
    classes = tuple(sorted(path.name for path in train_root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    train_files = _files(train_root, classes)
    _check_classes(folder, classes, train_files)
    given_test = _files(folder / "test", classes) if train_root != folder and (folder / "test").is_dir() else None
    if given_test is None:
        train_files, test_files = _hold_out(train_files)
    else:
        test_files = given_test
    readable = _readable(train_files + test_files, skip_unreadable)
    size, is_grey = _majority(readable)
    train, test = (
        _read_split([pair for pair in files if pair[0] in readable], size, is_grey) for files in (train_files, test_files)
    )
    return make_dataset(folder.name, train, test, classes)


def _files(root: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    return [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]


def _check_classes(folder: Path, classes: tuple[str, ...], files: list[tuple[Path, int]]) -> None:
    if not files:
        raise DataError(f"{folder}: holds no images; expected class_name/*.png|jpg below it")
    if len(classes) < 2:
        raise DataError(f"{folder}: has one class ({classes[0]}); a classifier needs at least two folders of images")
    counts = Counter(label for _, label in files)
    scarce = [f"{name} ({counts[label]})" for label, name in enumerate(classes) if counts[label] < TEST_SHARE]
    if scarce:
        raise DataError(
            f"{folder}: each class needs at least {TEST_SHARE} images for three splits; too few: {', '.join(scarce)}"
        )


def _hold_out(
    files: list[tuple[Path, int]],
) -> tuple[list[tuple[Path, int]], list[tuple[Path, int]]]:
    seen: Counter[int] = Counter()
    train: list[tuple[Path, int]] = []
    test: list[tuple[Path, int]] = []
    for path, label in files:
        seen[label] += 1
        (test if seen[label] % TEST_SHARE == 0 else train).append((path, label))
    return train, test


def _readable(files: list[tuple[Path, int]], skip_unreadable: bool) -> dict[Path, tuple[tuple[int, int], bool]]:
    found: dict[Path, tuple[tuple[int, int], bool]] = {}
    broken: list[Path] = []
    for path, _ in files:
        try:
            with Image.open(path) as image:
                image.load()
                found[path] = (image.size, image.mode in GREY_MODES)
        except (OSError, UnidentifiedImageError, SyntaxError):
            broken.append(path)
    if broken and not skip_unreadable:
        listed = ", ".join(str(path) for path in broken[:5]) + (" ..." if len(broken) > 5 else "")
        raise DataError(f"{len(broken)} files are not readable images: {listed}; mend them or pass --skip-unreadable")
    return found


def _majority(
    found: dict[Path, tuple[tuple[int, int], bool]],
) -> tuple[tuple[int, int], bool]:
    sizes, greys = (
        Counter(size for size, _ in found.values()),
        Counter(is_grey for _, is_grey in found.values()),
    )
    return sizes.most_common(1)[0][0], greys.most_common(1)[0][0]


def _read_split(files: list[tuple[Path, int]], size: tuple[int, int], is_grey: bool) -> Split:
    width, height = size
    images_NHWC = np.empty((len(files), height, width, 1 if is_grey else 3), np.uint8)
    for row, (path, _) in enumerate(files):
        with Image.open(path) as image:
            fitted = image.convert("L" if is_grey else "RGB").resize(size, Image.Resampling.BILINEAR)
            images_NHWC[row] = np.asarray(fitted, np.uint8).reshape(height, width, -1)
    labels_N = np.array([label for _, label in files], np.int64)
    return Split(np.ascontiguousarray(images_NHWC.transpose(0, 3, 1, 2)), labels_N)
