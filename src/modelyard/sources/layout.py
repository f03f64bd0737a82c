"""Classes and splits as folders and file names tell them: `cat/`, `Training/cat/`, `cat/train/`,
`cat_001.png`.
"""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass

from modelyard.errors import DataError
from modelyard.samples.scan import Scan
from modelyard.terminal.printable import listed

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
FILLING = frozenset(("set", "data", "dataset", "images", "image", "imgs", "img", "split", "folder", "of"))
SPLIT_WORD = re.compile(
    r"(?:(train(?:ing|val)?)|(test(?:ing)?)|(val|valid|validation|dev))(?:set|data|images|imgs)?"
)
NUMBERED = re.compile(r"(.*?[^\W\d_].*?)[ _.-]*\(?\d+\)?(?:\.[^.]*)?")
MADE_BY_MACHINES = re.compile(
    r"(img|image|dscn?|dscf|pic|picture|photo|frame|file|scan|screenshot|pxl|p|untitled)(?![a-z])", re.I
)
LEAST_NAMED = 5
Place = tuple[str, str]
"""Class, and split: train, test, validation, or nothing where none is given."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a reader found."""

    place_of: Callable[[str], Place | None]
    """Of a file by its path; None: it belongs to no class."""
    places: Set[Place]
    """All of them, also those without a picture."""
    notes: tuple[str, ...]
    is_guess: bool = False
    """By names of files, which may mean something else."""


def normal(name: str) -> str:
    """The same for names that differ in Unicode form only, as those of macOS and Linux do."""
    return unicodedata.normalize("NFC", name)


@functools.lru_cache(1024)
def split_of(path: str) -> str:
    """Which split the last name of a path stands for: `Training`, `a/test-set`, `pets_train`; "" for none."""
    name = path.rpartition("/")[2]
    words = [word for word in map(str.casefold, WORDS.findall(name)) if word not in FILLING]
    found = [SPLIT_WORD.fullmatch(word) for word in words[:1] + words[-1:]]
    kinds = {("train", "test", "validation")[(match.lastindex or 1) - 1] for match in found if match}
    return kinds.pop() if len(kinds) == 1 else ""


@functools.lru_cache(1024)
def split_within(path: str) -> str:
    """The split of the outermost folder in `path` that stands for one."""
    return next(filter(None, map(split_of, path.split("/"))), "")


class _Tree:
    """The folders in each folder, and how many pictures lie below."""

    def __init__(self, scan: Scan) -> None:
        self.here, self.below = scan.folders, Counter(scan.folders)
        self.folders: defaultdict[str, list[str]] = defaultdict(list)
        for folder in sorted(filter(None, scan.folders), key=lambda folder: (-folder.count("/"), folder)):
            parent = folder.rpartition("/")[0]
            self.below[parent] += self.below[folder]
            self.folders[parent].append(folder)

    def full(self, folder: str) -> list[str]:
        """The folders in it that hold pictures."""
        return [inner for inner in self.folders[folder] if self.below[inner]]

    def inside(self, folder: str) -> str:
        """The first folder in which there is a choice, below any number of lone ones around it."""
        while not self.here[folder] and len(full := self.full(folder)) == 1 and (inner := self.full(full[0])):
            if (
                split_of(full[0]) not in {"", split_within(folder)}
                and len(set(map(split_of, inner)) - {""}) < 2
            ):
                break
            folder = full[0]
        return folder


def read_layout(scan: Scan) -> Labels:
    """Raises: DataError, without the folder's name, when the folders tell no classes."""
    tree, many = _Tree(scan), scan.names.many
    root = tree.inside("")
    folders, full = tree.folders[root], tree.full(root)
    splits = {folder: split_of(folder) for folder in folders if split_of(folder) and tree.folders[folder]}
    if splits and (
        len(set(splits.values())) > 1 or not any(tree.full(folder) for folder in full if folder not in splits)
    ):
        return _below_splits(tree, root, splits, many)
    if labels := None if len(full) > 1 and not all(map(split_of, full)) else _by_file_names(scan):
        return labels
    if tree.here[root] and len(full) < 2:
        raise DataError(
            f"holds {many} in one folder; expected a folder for each class, a table of file names and labels,"
            f" or {LEAST_NAMED} files and more of each class called class_001{scan.ending}, "
            f"class_002{scan.ending}, ..."
        )
    inner = {folder: {path.rpartition("/")[2] for path in tree.folders[folder]} for folder in full}
    parts = set.union(*inner.values())
    if min(len(full), len(parts)) > 1 and all(
        names == parts and not tree.here[folder] for folder, names in inner.items()
    ):
        deeper = {
            frozenset(map(os.path.basename, tree.full(split)))
            for folder in full
            for split in tree.full(folder)
        }
        if not all(map(split_of, parts)) or (len(deeper) == 1 and len(deeper.pop()) > 1):
            raise DataError(
                f"{_listed(full)} hold the same folders ({_listed(parts)}); give one of them, call the "
                "outer ones train and"
                f" test if they are splits, or put all {many} of a class into its folder"
            )
        _check_once({part: split_of(part) for part in parts})
        return _labels(
            {path: (folder, split_of(path)) for folder in full for path in tree.folders[folder]},
            _listed(parts) + " in each class folder",
            many,
        )
    if any(len(set(map(split_of, names)) - {""}) > 1 for names in inner.values()):
        raise DataError(f"some of {_listed(full)} hold folders of splits; expected the same ones in each")
    named = full if all(map(split_of, full)) else folders  # an empty one beside classes is told as that
    return _labels(
        {folder: (folder, "") for folder in named}, f"class folders{root and f' below {root}/'}", many
    )


def _below_splits(tree: _Tree, root: str, splits: dict[str, str], many: str) -> Labels:
    _check_once(splits)
    if "train" not in splits.values():
        raise DataError(
            f"has {_listed(splits)} but no train/; expected the same class folders in both, or "
            f"none called {_listed(splits)}"
        )
    classes = {
        inner: (inner, split) for part, split in splits.items() for inner in tree.folders[tree.inside(part)]
    }
    return _labels(classes, f"class folders below {_listed(splits)}", many)


def _check_once(splits: dict[str, str]) -> None:
    for split in set(splits.values()):
        if len(same := [name for name, stands_for in splits.items() if stands_for == split]) > 1:
            raise DataError(
                f"{_listed(same)} all stand for the {split} split; "
                "expected one: join them or rename the others"
            )


def _listed(folders: Iterable[str]) -> str:
    return listed(sorted(f"{folder.rpartition('/')[2]}/" for folder in folders))


def _labels(folders: dict[str, tuple[str, str]], how: str, many: str) -> Labels:
    """folders: path -> path of the folder called as the class, and split."""
    places = {path: (normal(named.rpartition("/")[2]), split) for path, (named, split) in folders.items()}
    classes = {name for name, _ in places.values()}
    if all(map(split_of, classes)):
        raise DataError(
            f"the classes would be {_listed(classes)}, which are names of splits; expected class "
            "folders in them"
        )
    if len(classes) < 2:
        raise DataError(
            f"has one class ({', '.join(classes)}); a classifier needs at least two folders of {many}"
        )
    joined = len(places) > len(set(places.values()))
    notes = ("folders joined whose names differ in Unicode form only",) if joined else ()

    @functools.cache
    def place_of_folder(folder: str) -> Place | None:
        while folder and folder not in places:
            folder = folder.rpartition("/")[0]
        return places.get(folder)

    return Labels(
        lambda path: place_of_folder(path.rpartition("/")[0]),
        set(places.values()),
        (f"read as: {how}", *notes),
    )


def _by_file_names(scan: Scan) -> Labels | None:
    """`cat_001.png`, `cat (2).png`, `cat.3.png`, in one folder or in one for each split; None where they tell
    no classes.
    """
    places: dict[str, Place] = {}
    for path in scan.pictures:
        split = split_within(path.rpartition("/")[0])
        if (found := NUMBERED.fullmatch(path.rpartition("/")[2])) and not MADE_BY_MACHINES.match(found[1]):
            places[path] = normal(found[1]).strip(" _.-"), split
        elif split != "test":  # which may have no labels
            return None
    counts = Counter(label for label, _ in places.values())
    if len(counts) < 2 or min(counts.values()) < LEAST_NAMED:
        return None
    how = f"read as: {len(counts)} classes in the names of files, such as {min(places)}"
    return Labels(places.get, set(places.values()), (how,), is_guess=True)
