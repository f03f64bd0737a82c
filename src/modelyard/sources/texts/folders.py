"""Folders of text files, one text each: `class/*.txt`, `train/class/*.txt`."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from modelyard.errors import DataError
from modelyard.files import read_regular
from modelyard.samples.names import TEXT
from modelyard.samples.scan import JUNK, Scan, status_of
from modelyard.sources.layout import Labels, read_layout
from modelyard.sources.texts.collected import Row
from modelyard.sources.texts.lines import MOST_LINE
from modelyard.sources.texts.values import Unfit
from modelyard.terminal.printable import listed

ENDING = ".txt"


@dataclass(frozen=True, slots=True)
class TextFiles:
    """All of a folder."""

    folder: Path
    labels: Labels
    paths: tuple[str, ...]
    """Relative to the folder, in order; those of a class."""
    strays: tuple[str, ...]

    @property
    def state(self) -> list[object]:
        """Names, sizes and times."""
        found = ((path, status_of(f"{self.folder}/{path}")) for path in self.paths)
        return [[path, status.st_size, status.st_mtime_ns] for path, status in found]

    def rows(self) -> Generator[Row, None, None]:
        """A row for each file; what cannot be read is one, too."""
        for path in self.paths:
            label, split = self.labels.place_of(path) or ("", "")
            try:
                content: object = read_regular(self.folder / path, MOST_LINE).removeprefix(BOM_UTF8)
            except OSError as error:
                content = Unfit(f"cannot be read ({error.strerror or error})")
            yield path, content, label, split


def text_files(folder: Path) -> TextFiles:
    """Raises: DataError where the folders tell no classes, or training has other ones than the test."""
    scan = Scan(folder, names=TEXT, ending=ENDING)
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not JUNK.fullmatch(name))
        here = Path(parent).relative_to(folder).as_posix().removeprefix(".")
        found = [name for name in sorted(names) if name.lower().endswith(ENDING) and not JUNK.fullmatch(name)]
        scan.folders[here] = len(found) if here else 0  # what lies beside the classes is about them
        scan.pictures += [f"{here}/{name}" for name in found if here]
    labels = read_layout(scan)
    places = labels.places
    train, test = ({name for name, split in places if split == part} for part in ("train", "test"))
    if train and test and (only := sorted(train ^ test)):
        raise DataError(
            f"class folders that are only in train/ or only in test/: {listed(only)}; expected the same "
            "names in both"
        )
    paths = [path for path in scan.pictures if labels.place_of(path)]
    strays = [path for path in scan.pictures if not labels.place_of(path)]
    return TextFiles(folder, labels, tuple(paths), tuple(strays))
