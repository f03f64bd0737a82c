"""Which files of a folder are images of which class and split, as its tables, folders or file names tell."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

from modelyard.data.names import check_classes
from modelyard.errors import DataError
from modelyard.files import sha256_of_json
from modelyard.samples.scan import Scan, scan_folder, status_of, told
from modelyard.sources.layout import Labels, Place, read_layout
from modelyard.sources.tables import read_tables
from modelyard.sources.unread import NO_CLASSES, looks_like
from modelyard.terminal.printable import listed

NOT_USED = "not used: "
TEST_EVERY = 5
"""Without a test split every fifth image of a class is one."""


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
    source: Path = Path()
    """What was given: the folder, or the archive or table that it stands for."""

    @property
    def fingerprint(self) -> str:
        """Changes when a file is added, removed, renamed, resized, relabelled or written anew; no file is
        read for it.
        """
        given = sum(file.is_validation for file in self.train)
        parts = (self.train[: len(self.train) - given], self.train[len(self.train) - given :], self.test)
        rows = [[file.path, file.size, file.modified_ns] for part in parts for file in part]
        labels = [Counter(map(attrgetter("label"), part)) for part in parts]
        return sha256_of_json([str(self.folder), self.classes, rows, labels])


def list_images(
    folder: Path,
    validation_as: str | None = None,
    *,
    skip_unreadable: bool = False,
    source: Path | None = None,
    table: str = "",
) -> Listing:
    """The folder's images.

    validation_as: `validation` or `test`, whatever other splits there are; None: test where there is no
    other. source, table: what stands in messages for the folder, and the only table in it that is looked at.
    Raises: DataError when the folder is missing, empty, has one class or too few images of one.
    """
    scan, source = scan_folder(folder), source or folder
    try:
        labels = _read_labels(scan, table, skip_unreadable=skip_unreadable)
        classes = tuple(sorted({name for name, _ in labels.places}))
        role = _roles(labels, validation_as)
        _check_same_classes({(name, role[split]) for name, split in labels.places})
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    check_classes(classes)
    numbers = {name: number for number, name in enumerate(classes)}
    parts: dict[str, list[ImageFile]] = {split: [] for split in ("train", *role.values())}
    target = {
        (name, split): (parts[role[split]].append, numbers[name], role[split])
        for name, split in labels.places
    }
    strays = []
    for path in scan.pictures:
        if place := labels.place_of(path):
            add, label, split = target[place]
            status = status_of(f"{folder}/{path}")
            add(ImageFile(path, label, status.st_size, status.st_mtime_ns, split == "validation"))
        else:
            strays.append(path)
    for files in parts.values():
        files.sort(key=attrgetter("label"))
    left_out: dict[str, list[str]] = {name: [] for name in classes}
    for path in scan.others:
        if place := labels.place_of(path):
            left_out[place[0]].append(path)
    wanted = [(parts["train"], TEST_EVERY, "for three splits")]
    if "test" in parts:
        wanted = [(parts["train"], 2, "in train/"), (parts["test"], 1, "in test/")]
    check_counts(source, classes, wanted, left_out)
    train, test = (parts["train"], parts["test"]) if "test" in parts else _hold_out(parts["train"])
    notes = (*labels.notes, *_role_notes(labels, role), *_left_out(scan, strays))
    return Listing(folder, classes, (*train, *parts.get("validation", ())), tuple(test), notes, source)


def _read_labels(scan: Scan, table: str, *, skip_unreadable: bool) -> Labels:
    """By tables that name half of the pictures or more, else by folders, else by file names, else by tables
    that name few.
    """
    labels, misfit = read_tables(scan, table, skip_unreadable=skip_unreadable)
    if labels and (
        table or 2 * sum(labels.place_of(path) is not None for path in scan.pictures) >= len(scan.pictures)
    ):
        return labels
    if table:
        raise DataError(misfit.removeprefix(f"{table}: "))
    try:
        if not scan.pictures:
            raise DataError(
                f"holds no images{f' ({told(scan.others)})' if scan.others else ''}; expected "
                "class_name/*.png|jpg below it"
            )
        found = read_layout(scan)
        if found.is_guess and (labels or misfit):
            misfit += ", or take the table away if the names of the files begin with their classes"
            raise DataError(misfit)
    except DataError as error:
        if labels:
            return labels
        raise DataError(misfit or f"{error}{looks_like(scan)}") from error
    names = sorted({name for name, _ in found.places})
    if any(map(NO_CLASSES.fullmatch, names)):  # rarely, so that their pictures may be looked up
        names = sorted({place[0] for place in map(found.place_of, scan.pictures) if place})
    if all(map(NO_CLASSES.fullmatch, names)):
        raise DataError(
            misfit
            or f"the classes would be {', '.join(names)}; expected a folder for each class{looks_like(scan)}"
        )
    misfit = "a table that names less than half of the pictures" if labels else misfit
    return replace(found, notes=(*found.notes, f"{NOT_USED}{misfit}")) if misfit else found


def _roles(labels: Labels, validation_as: str | None) -> dict[str, str]:
    """For which split each given one is taken."""
    given = {split for _, split in labels.places}
    validation = validation_as or ("validation" if "test" in given else "test")
    return {split: {"": "train", "validation": validation}.get(split, split) for split in sorted(given)}


def _role_notes(labels: Labels, role: Mapping[str, str]) -> Iterator[str]:
    if (taken := role.get("validation")) == "test":
        yield (
            "the validation folder is tested on, validation drawn from train; otherwise: --set "
            "data.validation_as=validation"
        )
    elif taken:
        yield "the validation folder is the validation split; otherwise: --set data.validation_as=test"


def _left_out(scan: Scan, strays: Sequence[str]) -> Iterator[str]:
    if scan.others:
        yield told(scan.others)
    if strays:
        yield f"{len(strays)} pictures of no class left out, such as {strays[0]}"
    if scan.junk:
        yield f"folders left out: {', '.join(f'{name} {count}' for name, count in sorted(scan.junk.items()))}"


def check_counts(
    source: Path,
    classes: Sequence[str],
    wanted: list[tuple[list[ImageFile], int, str]],
    left_out: Mapping[str, list[str]] | None = None,
) -> None:
    """Raises: DataError naming the classes with fewer than so many images where they are wanted, and what
    else they hold.
    """
    others = {name: f"; {told(paths)}" for name, paths in (left_out or {}).items() if paths}
    for files, least, where in wanted:
        counts = Counter(file.label for file in files)
        pairs = ((name, counts[label]) for label, name in enumerate(classes))
        if scarce := [f"{name} ({count}{others.get(name, '')})" for name, count in pairs if count < least]:
            raise DataError(
                f"{source}: each class needs at least {least} images {where}; too few: {listed(scarce)};"
                " add images or remove the class folder"
            )


def _check_same_classes(places: Set[Place]) -> None:
    splits = {
        split: {name for name, part in places if part == split} for split in {split for _, split in places}
    }
    for part, other in itertools.permutations(sorted(splits, key=("train", "test", "validation").index), 2):
        if other != "validation" and (only := sorted(splits[part] - splits[other])):
            raise DataError(
                f"class folders that are only in {part}/: {listed(only)}; expected the same names in {other}/"
            )


def _hold_out(files: Sequence[ImageFile]) -> tuple[list[ImageFile], list[ImageFile]]:
    seen: Counter[int] = Counter()
    train: list[ImageFile] = []
    test: list[ImageFile] = []
    for file in files:
        seen[file.label] += 1
        (test if seen[file.label] % TEST_EVERY == 0 else train).append(file)
    return train, test
