"""The alias files `<model>/<alias>.alias` of a release folder: which version of a model each alias names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelyard.files import is_plain_name, open_regular, read_regular, write_atomically

CHAMPION, PREVIOUS = "champion", "previous"
SUFFIX = ".alias"
FILE_BYTES, LONGEST_VERSION = 256, 18


@dataclass(frozen=True, slots=True)
class Pointer:
    """An alias as its file was read: which version of which model it names."""

    model: str
    alias: str
    version: str
    stamp: tuple[int, int]
    """Inode and time of the alias file: an alias set anew is another pointer, even to the same version."""
    fault: str = ""
    """Why the file names no version."""

    @property
    def name(self) -> str:
        """Served name: the champion has the model's own, others `<model>-<alias>`."""
        return self.model if self.alias == CHAMPION else f"{self.model}-{self.alias}"


def is_version(text: str) -> bool:
    """Whether this is a version's number and so the name of its folder."""
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_VERSION


def models_with(releases: Path, alias: str = CHAMPION) -> list[str]:
    """Names of the models that have this alias, in their order."""
    return sorted(file.parent.name for file in releases.glob(f"*/{alias}{SUFFIX}"))


def has_pointers(releases: Path) -> bool:
    """Whether any model has any alias."""
    return next(releases.glob(f"*/*{SUFFIX}"), None) is not None


def read_pointers(
    releases: Path, models: tuple[str, ...] = (), aliases: tuple[str, ...] = ()
) -> dict[str, Pointer]:
    """Served name -> pointer for all or the chosen models and aliases."""
    pointers: dict[str, Pointer] = {}
    for file in _alias_files(releases):
        names = file.parent.name, file.stem
        wanted = (not models or names[0] in models) and (not aliases or names[1] in aliases)
        if wanted and all(map(is_plain_name, names)):
            pointer = _read(file)
            if pointer and (pointer.name not in pointers or pointer.alias == CHAMPION):
                pointers[pointer.name] = pointer
    return pointers


def _alias_files(releases: Path) -> Iterator[Path]:
    """In their order; a folder that goes meanwhile has none."""
    for folder in sorted(releases.glob("*")):
        with suppress(OSError):
            yield from sorted(folder.glob(f"*{SUFFIX}"))


def read_pointer(releases: Path, model: str, alias: str) -> Pointer | None:
    """One alias; None where there is no such file, or a name would lead elsewhere."""
    is_plain = is_plain_name(model) and is_plain_name(alias)
    return _read(releases / model / f"{alias}{SUFFIX}") if is_plain else None


def write_pointer(folder: Path, alias: str, number: int | None) -> None:
    """Point an alias at a version, or take it away; `folder` is the model's. Raises: StoreError."""
    path = folder / f"{alias}{SUFFIX}"
    if number is None:
        path.unlink(missing_ok=True)
        return
    content = f"{number}\n".encode()
    with suppress(OSError):
        if read_regular(path, len(content)) == content:
            return
    write_atomically(path, content)


def _read(file: Path) -> Pointer | None:
    """None for a file that is gone.

    Version and stamp are of one open file: a rename between two looks would give an old version a new stamp.
    """
    try:
        with open_regular(file) as stream:
            text, status = stream.read(FILE_BYTES), os.fstat(stream.fileno())
        stamp, fault = (status.st_ino, status.st_mtime_ns), ""
    except FileNotFoundError:
        return None
    except (
        OSError
    ) as error:  # it may be no file that can be read: an alias that cannot be followed is told of, once
        text, stamp, fault = b"", (0, 0), str(error.strerror)
    version = text.decode("ascii", "replace").strip()
    if not is_version(version):
        version, fault = (
            "",
            f"{file} names no version ({fault or repr(version[:LONGEST_VERSION])}); set the alias anew",
        )
    return Pointer(file.parent.name, file.stem, version, stamp, fault)
