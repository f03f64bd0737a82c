"""What the release folder says is to be served: pure reading of `<model>/<alias>.alias` and `<model>/<version>/`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CHAMPION = "champion"


@dataclass(frozen=True, slots=True)
class Pointer:
    """An alias as its file was read: which version of which model it names."""

    model: str
    alias: str
    version: str
    stamp: tuple[int, int]
    """Inode and time of the alias file: an alias set anew is another pointer, even to the same version."""

    @property
    def name(self) -> str:
        """Served name: the champion has the model's own, others `<model>-<alias>`."""
        return self.model if self.alias == CHAMPION else f"{self.model}-{self.alias}"


def read_pointers(releases: Path, models: tuple[str, ...] = (), aliases: tuple[str, ...] = ()) -> dict[str, Pointer]:
    """Served name -> pointer for all or the chosen models and aliases."""
    pointers: dict[str, Pointer] = {}
    for file in sorted(releases.glob("*/*.alias")):
        if (not models or file.parent.name in models) and (not aliases or file.stem in aliases):
            pointer = _read(file)
            if pointer and (pointer.name not in pointers or pointer.alias == CHAMPION):
                pointers[pointer.name] = pointer
    return pointers


def _read(file: Path) -> Pointer | None:
    """None while the file vanishes or holds no version number.

    Version and stamp are of one open file: a rename between two looks would give an old version a new stamp.
    """
    try:
        with file.open() as stream:
            version, stat = stream.read().strip(), os.fstat(stream.fileno())
    except (OSError, UnicodeDecodeError):
        return None
    return Pointer(file.parent.name, file.stem, version, (stat.st_ino, stat.st_mtime_ns)) if version.isdecimal() else None


def known_versions(releases: Path, model: str) -> list[str]:
    """All versions of a model on disk, oldest first."""
    numbers = [folder.name for folder in (releases / model).iterdir() if folder.name.isdecimal() and folder.is_dir()]
    return sorted(numbers, key=int)
