"""A folder of images: `class_name/*.png|jpg`, optionally below `train/` and `test/`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from modelyard.data.datasets import Dataset, Images, Split, make_dataset, write_images
from modelyard.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
TEST_SHARE = 5  # without a test/ folder every fifth image of a class is the test split
GREY_MODES = {"1", "L", "I", "I;16", "F"}

File = tuple[Path, int]
"""An image file and its label."""


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """How a folder's images are brought to one form; None takes the majority's."""

    height: int | None = None
    width: int | None = None
    channels: int | None = None
    skip_unreadable: bool = False


def read_folder(folder: Path, options: FolderOptions, scratch: Path) -> Dataset:
    """Decode every image into memory-mapped files in `scratch`.

    Raises: DataError when the folder is missing, empty, has one class or unreadable files.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected class_name/*.png below it")
    train_root = folder / "train" if (folder / "train").is_dir() else folder
    classes = tuple(sorted(path.name for path in train_root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    train_files = _files(train_root, classes)
    _check_classes(folder, classes, train_files)
    if train_root != folder and (folder / "test").is_dir():
        test_files = _files(folder / "test", classes)
    else:
        train_files, test_files = _hold_out(train_files)
    forms = _readable(train_files + test_files, options.skip_unreadable)
    shape = _target_shape(list(forms.values()), options)
    train, test = (
        _decode([file for file in files if file[0] in forms], shape, scratch / name)
        for name, files in (("train.npy", train_files), ("test.npy", test_files))
    )
    return make_dataset(folder.name, train, test, classes)


def _files(root: Path, classes: Sequence[str]) -> list[File]:
    return [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]


def _check_classes(folder: Path, classes: Sequence[str], files: list[File]) -> None:
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


def _hold_out(files: list[File]) -> tuple[list[File], list[File]]:
    seen: Counter[int] = Counter()
    train: list[File] = []
    test: list[File] = []
    for path, label in files:
        seen[label] += 1
        (test if seen[label] % TEST_SHARE == 0 else train).append((path, label))
    return train, test


def _readable(files: list[File], skip_unreadable: bool) -> dict[Path, tuple[int, int, int]]:
    """Readable file -> height, width, channels."""
    found: dict[Path, tuple[int, int, int]] = {}
    broken: list[Path] = []
    for path, _ in files:
        try:
            with Image.open(path) as image:
                image.load()
                found[path] = (image.height, image.width, 1 if image.mode in GREY_MODES else 3)
        except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError):
            broken.append(path)
    if broken and not (skip_unreadable and found):
        listed = ", ".join(str(path) for path in broken[:5]) + (" ..." if len(broken) > 5 else "")
        raise DataError(f"{len(broken)} files are not readable images: {listed}; mend them or pass --skip-unreadable")
    return found


def _target_shape(forms: list[tuple[int, int, int]], options: FolderOptions) -> tuple[int, int, int]:
    """Channels, height, width of all images."""
    (height, width), _ = Counter((form[0], form[1]) for form in forms).most_common(1)[0]
    channels, _ = Counter(form[2] for form in forms).most_common(1)[0]
    return options.channels or channels, options.height or height, options.width or width


def _decode(files: list[File], shape: tuple[int, int, int], path: Path) -> Split:
    """All files at one size and mode, memory-mapped from `path`."""
    write_images(path, (len(files), *shape), (_pixels(file, shape) for file, _ in files))
    return Split(np.load(path, mmap_mode="r"), np.array([label for _, label in files], np.int64))


def _pixels(file: Path, shape: tuple[int, int, int]) -> Images:
    """uint8 [C, H, W]."""
    channels, height, width = shape
    with Image.open(file) as image:
        fitted = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(fitted, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)
