"""What lies in a folder: its pictures or texts, other files and folders; what systems and programs leave
behind is set apart.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from modelyard.errors import DataError
from modelyard.files import open_regular
from modelyard.samples.formats import ENDINGS, HEAD_BYTES, kind_of
from modelyard.samples.names import IMAGE, Names

JUNK = re.compile(
    r"\..*|@eaDir|@Recently.*|@Recycle|@SynoResource|@tmp|#recycle|#snapshot|\$RECYCLE\.BIN|RECYCLER|System "
    r"Volume Information"
    r"|lost\+found|found\.\d+|__MACOSX|__pycache__|Network Trash Folder|Temporary "
    r"Items|~\$.*|Thumbs\.db|ehthumbs.*\.db"
    r"|desktop\.ini|Icon\r",
    re.IGNORECASE,
)
PACKED = frozenset((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".parquet", ".7z", ".rar"))


@dataclass(slots=True)
class Scan:
    """All of a folder; paths are relative to it."""

    folder: Path
    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: dict[str, int] = field(default_factory=dict)
    """How many pictures lie in each itself; "" is the whole."""
    junk: Counter[str] = field(default_factory=Counter)
    names: Names = IMAGE
    """What messages call those that are looked for, which are in `pictures`."""
    ending: str = ".png"
    """One that they may have, for messages."""


def scan_folder(folder: Path, ending: str = "") -> Scan:
    """Look at every file below `folder` for pictures, or for all that has this ending; links are followed,
    once below each folder at the top. Raises: DataError.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected class_name/*.png below it")
    scan, seen, prefix = Scan(folder), set(), len(str(folder)) + 1
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        here, status = parent[prefix:], status_of(parent)
        key = (status.st_dev, status.st_ino, here.partition("/")[0])
        if key in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(key)
        scan.junk.update(filter(JUNK.fullmatch, folders))
        folders[:] = sorted(name for name in folders if not JUNK.fullmatch(name))
        before, start = len(scan.pictures), f"{here}/" if here else ""
        for name in names:
            if name[0] != "." and (
                name.lower().endswith(ending)
                if ending
                else name[name.rfind(".") :].lower() in ENDINGS or is_picture(f"{parent}/{name}")
            ):
                scan.pictures.append(start + name)
            elif not JUNK.fullmatch(name):
                scan.others.append(start + name)
        scan.folders[here] = len(scan.pictures) - before
    scan.pictures.sort()
    return scan


def files_below(folder: Path, what: str, expected: str, ending: str = "") -> tuple[list[Path], list[str]]:
    """Its pictures, or all that has this ending, in their order, and what else lies there.

    Raises: DataError, also where there is nothing of `what`.
    """
    scan = scan_folder(folder, ending)
    if not scan.pictures:
        beside = told(scan.others) or "it is empty"
        raise DataError(f"{folder}: holds no {what}; expected {expected}; {beside}")
    return [folder / name for name in scan.pictures], scan.others


def is_picture(path: str) -> bool:
    """By the first bytes, whatever it is called."""
    try:
        with open_regular(Path(path)) as stream:
            return kind_of(stream.read(HEAD_BYTES), os.path.splitext(path)[1].lower()) is not None  # noqa: PTH122
    except OSError:
        return False


def _refuse(error: OSError) -> NoReturn:
    raise DataError(
        f"{error.filename}: cannot be opened ({error.strerror}); mend the link or remove it"
    ) from error


def status_of(path: str) -> os.stat_result:
    """Raises: DataError for a link to nothing."""
    try:
        return os.stat(path)  # noqa: PTH116 - a Path for each of a million files costs more than the call
    except OSError as error:
        _refuse(error)


def told(paths: Iterable[str]) -> str:
    """`12 files left out: .heic 8, .txt 4`, with what to do about photos of phones; nothing where there are
    none.
    """
    counts = Counter(os.path.splitext(path)[1].lower() or "no ending" for path in paths)  # noqa: PTH122
    remedy = ", convert .heic to .jpg" if {".heic", ".heif"} & set(counts) else ""
    remedy += ", unpack or give archives and parquet by themselves" if PACKED & set(counts) else ""
    listed = ", ".join(
        f"{ending} {count}"
        for ending, count in sorted(counts.items(), key=lambda kind: (-kind[1], kind[0]))[:8]
    )
    return f"{counts.total()} files left out: {listed}{remedy}" if counts else ""
