"""The release folders: `<model>/<alias>.alias`, which say what is to be served, and `<model>/<version>/`, a
bundle each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from modelyard.bundle import MANIFEST_BYTES, MANIFEST_FILE, Bundle, Manifest, read_bundle
from modelyard.errors import BundleError, StoreError
from modelyard.files import is_plain_name, open_regular, parse_json, read_regular
from modelyard.releases.ledger import demand_whole, read_head

CHAMPION = "champion"
ALIAS_BYTES, LONGEST_VERSION = 256, 18


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


def demand_readable(releases: Path) -> None:
    """Raises: StoreError when this user may not read the folder; one that is not there yet has nothing to
    serve.
    """
    try:
        any(releases.iterdir())
    except PermissionError:
        told = (
            f"user {os.getuid()} may not read {releases}; its "
            "owner opens it to a group: modelyard store share"
        )
        raise StoreError(told) from None
    except (FileNotFoundError, NotADirectoryError):
        return


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
            yield from sorted(folder.glob("*.alias"))


def _read(file: Path) -> Pointer | None:
    """None for a file that is gone.

    Version and stamp are of one open file: a rename between two looks would give an old version a new stamp.
    """
    try:
        with open_regular(file) as stream:
            text, status = stream.read(ALIAS_BYTES), os.fstat(stream.fileno())
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


def champion_size(releases: Path, model: str) -> tuple[int, int] | None:
    """Height and width of the images that a model's champion takes; None without one that can be read."""
    pointer = _read(releases / model / f"{CHAMPION}.alias")
    if pointer is None or pointer.fault:
        return None
    try:
        text = read_regular(releases / model / pointer.version / MANIFEST_FILE, MANIFEST_BYTES)
        return Manifest.from_json(parse_json(text)).form.size
    except (OSError, ValueError):
        return None


def is_version(text: str) -> bool:
    """Whether this is a version's number and so the name of its folder."""
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_VERSION


def known_versions(releases: Path, model: str) -> list[str]:
    """All versions of a model on disk, oldest first; none where there is no such folder."""
    try:
        found = [
            folder.name
            for folder in (releases / model).iterdir()
            if is_version(folder.name) and folder.is_dir()
        ]
    except FileNotFoundError:
        return []
    return sorted(found, key=int)


def read_release(folder: Path) -> Bundle:
    """What lies in `<releases>/<model>/<version>`, which is what the ledger recorded as far as it knows the
    version.

    Raises: BundleError when it is not whole, another model's or not what was recorded; StoreError for an
    altered ledger.
    """
    bundle, model = read_bundle(folder), folder.parent
    if bundle.manifest.model_name != model.name:
        raise BundleError(
            f"{folder} holds the model {bundle.manifest.model_name!r}; publish it under its own name"
        )
    known = demand_whole(model, read_head(model)).files_of(int(folder.name))
    demand_recorded(bundle, known)
    return replace(bundle, is_recorded=bool(known))


def demand_recorded(bundle: Bundle, *known: Mapping[str, str]) -> None:
    """`known`: file name -> sha256, as each somebody remembers them. Raises: BundleError when the bundle has
    others.
    """
    if other := sorted(
        {name for files in known for name, digest in files.items() if bundle.digests.get(name) != digest}
    ):
        raise BundleError(
            f"{bundle.folder} is not what was registered ({', '.join(other)}); put its copy back"
        )
