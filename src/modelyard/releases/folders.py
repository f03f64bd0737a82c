"""The release folders `<model>/<version>/`, a bundle each. What of them is to be served the alias files say
(`releases.pointers`), what they were when they were registered the ledger (`releases.ledger`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from modelyard.bundle import MANIFEST_BYTES, MANIFEST_FILE, Bundle, Manifest, read_bundle
from modelyard.errors import BundleError, StoreError
from modelyard.files import parse_json, read_regular
from modelyard.releases.chain import demand_whole
from modelyard.releases.ledger import read_head
from modelyard.releases.pointers import CHAMPION, is_version, read_pointer


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


def champion_size(releases: Path, model: str) -> tuple[int, int] | None:
    """Height and width of the images that a model's champion takes; None without one that can be read."""
    pointer = read_pointer(releases, model, CHAMPION)
    if pointer is None or pointer.fault:
        return None
    try:
        text = read_regular(releases / model / pointer.version / MANIFEST_FILE, MANIFEST_BYTES)
        size: tuple[int, int] | None = Manifest.from_json(parse_json(text)).form.size
    except (OSError, ValueError):
        return None
    return size


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
