"""Which files of a folder are images of which class and split: `class_name/*.png|jpg`, also below `train/` and `test/`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelyard.data.images import SUFFIXES
from modelyard.data.names import check_classes
from modelyard.errors import DataError
from modelyard.files import sha256_of_json

TEST_EVERY = 5
"""Without a test/ folder every fifth image of a class is the test split."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file of one class, as its folder lists it."""

    path: str
    """Relative to the folder."""
    label: int
    size: int
    modified_ns: int
    is_validation: bool = False
    """Whether it was given as one of the validation split."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All image files of a folder, divided into the given splits."""

    folder: Path
    """What the files' paths are relative to."""
    classes: tuple[str, ...]
    train: tuple[ImageFile, ...]
    """Those of a given validation split come last."""
    test: tuple[ImageFile, ...]
    notes: tuple[str, ...] = ()
    """How the folder was read and what was left out, a line each, for people."""

    @property
    def fingerprint(self) -> str:
        """Changes when a file is added, removed, renamed, resized or written anew; no file is read for it."""
        rows = [[file.path, file.size, file.modified_ns] for split in (self.train, self.test) for file in split]
        return sha256_of_json([str(self.folder), self.classes, rows])


def list_images(folder: Path) -> Listing:
    """The folder's images. Raises: DataError when it is missing, empty, has one class or too few images of one."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected class_name/*.png below it")
    parts = [name for name in ("train", "test") if _folders(folder / name)]
    if parts == ["test"]:
        raise DataError(f"{folder}: has test/ but no train/; expected the same class folders in both, or no test/ at all")
    train_root = folder / "train" if parts else folder
    classes = tuple(_folders(train_root))
    check_classes(classes)
    train = [file for label, name in enumerate(classes) for file in _files(folder, train_root / name, label)]
    _check_classes(folder, classes, train)
    if parts == ["train", "test"]:
        _check_same_classes(folder, classes)
        test = [file for label, name in enumerate(classes) for file in _files(folder, folder / "test" / name, label)]
        check_counts(folder, classes, [(train, 2, "in train/"), (test, 1, "in test/")])
    else:
        check_counts(folder, classes, [(train, TEST_EVERY, "for three splits")])
        train, test = _hold_out(train)
    ignored = tuple(name for name in _folders(folder) if name not in parts) if parts else ()
    return Listing(folder, classes, tuple(train), tuple(test), tuple(f"folder ignored: {name}" for name in ignored))


def check_counts(folder: Path, classes: Sequence[str], wanted: list[tuple[list[ImageFile], int, str]]) -> None:
    """Raises: DataError naming the classes that have fewer than so many images where they are wanted."""
    for files, least, where in wanted:
        counts = Counter(file.label for file in files)
        scarce = [f"{name} ({counts[label]})" for label, name in enumerate(classes) if counts[label] < least]
        if scarce:
            raise DataError(
                f"{folder}: each class needs at least {least} images {where}; too few: {', '.join(scarce)};"
                " add images or remove the class folder"
            )


def _folders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(folder: Path, root: Path, label: int) -> Iterator[ImageFile]:
    """The images below `root` in the order of their paths; hidden ones are left out, links are followed once."""
    found, seen = [], set()
    for parent, folders, names in os.walk(root, followlinks=True):
        here = Path(parent).stat()
        if (here.st_dev, here.st_ino) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [f"{parent}/{name}" for name in names if name[0] != "." and os.path.splitext(name)[1].lower() in SUFFIXES]  # noqa: PTH122
    prefix = len(str(folder)) + 1
    for path in sorted(found):
        status = _status(path)
        yield ImageFile(path[prefix:], label, status.st_size, status.st_mtime_ns)


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)  # noqa: PTH116 - a Path for each of a million files costs more than the call
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}); mend the link or remove it") from error


def _check_classes(folder: Path, classes: Sequence[str], files: Sequence[ImageFile]) -> None:
    if not files:
        raise DataError(f"{folder}: holds no images; expected class_name/*.png|jpg below it")
    if len(classes) < 2:
        raise DataError(f"{folder}: has one class ({classes[0]}); a classifier needs at least two folders of images")


def _check_same_classes(folder: Path, classes: Sequence[str]) -> None:
    given = {"train": set(classes), "test": set(_folders(folder / "test"))}
    for part, other in (("train", "test"), ("test", "train")):
        if only := sorted(given[part] - given[other]):
            raise DataError(
                f"{folder}: class folders that are only in {part}/: {', '.join(only[:5])}{' ...' if len(only) > 5 else ''};"
                f" expected the same names in {other}/"
            )


def _hold_out(files: Sequence[ImageFile]) -> tuple[list[ImageFile], list[ImageFile]]:
    seen: Counter[int] = Counter()
    train: list[ImageFile] = []
    test: list[ImageFile] = []
    for file in files:
        seen[file.label] += 1
        (test if seen[file.label] % TEST_EVERY == 0 else train).append(file)
    return train, test
