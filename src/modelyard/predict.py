"""Classifying image files with a released bundle: onnxruntime, numpy and pillow only.

B batch, H height, W width, C channels, K classes.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Manifest
from modelyard.data.images import SUFFIXES, picture_pixels
from modelyard.errors import DataError, StoreError
from modelyard.home import Home
from modelyard.inference import classify, open_session
from modelyard.releases import CHAMPION, is_version, read_pointers, read_release

BATCH, BATCH_BYTES = 64, 4_000_000
"""Images, and bytes of their pixels, that are answered together; more of either is no faster."""
JUNK = frozenset(("@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "lost+found", "__pycache__"))
"""Folders that storage boxes, archives and trash leave behind."""


def released_folder(home: Home, model: str = "") -> Path:
    """The release folder of `name@alias` or `name@number`; without a name, of the only model's champion.

    Raises: StoreError when there is none, or no name and several models.
    """
    name, _, alias = model.partition("@")
    name, alias = name or _only_name(home), alias or CHAMPION
    folder = home.releases_of(name)
    pointer = next(iter(read_pointers(home.releases, (name,), (alias,)).values()), None)
    if pointer and pointer.fault:
        raise StoreError(pointer.fault)
    number = pointer.version if pointer else alias
    if not is_version(number) or not (folder / number).is_dir():
        raise StoreError(f"no release {model[:80]!r} in {home.releases}; see modelyard models list")
    return folder / number


def _only_name(home: Home) -> str:
    names = sorted(path.parent.name for path in home.releases.glob("*/champion.alias"))
    if len(names) != 1:
        raise StoreError(
            f"--model expects one of {', '.join(names)}"
            if names
            else f"no release in {home.releases} yet; start with: modelyard run"
        )
    return names[0]


@dataclass(slots=True)
class Pictures:
    """What there is to classify."""

    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Ending -> how many files of folders are no pictures; hidden ones and those of junk folders are not counted."""
    refused: list[str] = field(default_factory=list)
    """A line for each folder that cannot be listed or holds no picture."""


def find_pictures(paths: Sequence[Path]) -> Pictures:
    """A file as it is, whatever its name; of a folder every picture below it, in the order of their paths."""
    found = Pictures()
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - false for a path that cannot be looked at: reading it tells why
            _add_folder(path, found)
        else:
            found.files.append(path)
    return found


def _add_folder(folder: Path, found: Pictures) -> None:
    before, unlisted = len(found.files), len(found.refused)
    files, seen = [], set()

    def refuse(error: OSError) -> None:
        found.refused.append(f"{error.filename}: cannot be listed ({error.strerror}); mend the folder or name another")

    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = os.path.realpath(parent)
        if here in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in JUNK)
        files += [Path(parent, name) for name in names if name[0] != "."]
    for file in sorted(files):
        if file.suffix.lower() in SUFFIXES:
            found.files.append(file)
        else:
            found.left_out[file.suffix.lower() or "without ending"] += 1
    if len(found.files) == before and len(found.refused) == unlisted:
        found.refused.append(f"{folder}: holds no pictures; expected {', '.join(sorted(SUFFIXES))} in it or below")


def predict_files(
    home: Home, model: str, files: Sequence[Path], refuse: Callable[[DataError], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Label, probabilities and milliseconds for each file, in their order.

    A file that is no image is given to `refuse`, and the rest is answered; without it the first raises.
    Raises: DataError for it, StoreError for an unknown model.
    """
    bundle = read_release(released_folder(home, model))
    manifest, session = bundle.manifest, open_session(bundle.model)
    for read, pixels_BHWC in _batches(files, manifest, refuse):
        start = time.perf_counter()
        probabilities_BK = classify(session, pixels_BHWC)
        elapsed_ms = (time.perf_counter() - start) * 1e3 / len(read)
        for file, probabilities_K in zip(read, probabilities_BK, strict=True):
            best = int(probabilities_K.argmax())
            yield {
                "image": str(file), "label": manifest.classes[best], "probability": float(probabilities_K[best]),
                "ms": elapsed_ms, "probabilities": dict(zip(manifest.classes, probabilities_K.tolist(), strict=True)),
            }  # fmt: skip


def _batches(
    files: Sequence[Path], manifest: Manifest, refuse: Callable[[DataError], None] | None
) -> Iterator[tuple[list[Path], NDArray[np.uint8]]]:
    """The files that could be read and their pixels [B, H, W, C]; one batch at a time is in memory."""
    height, width, channels = manifest.image_shape
    most = max(1, min(BATCH, BATCH_BYTES // (height * width * channels)))
    read: list[Path] = []
    images: list[NDArray[np.uint8]] = []
    for file in files:
        try:
            images.append(picture_pixels(file, (channels, height, width)))
        except DataError as error:
            if refuse is None:
                raise
            refuse(error)
            continue
        read.append(file)
        if len(read) == most:
            yield read, np.stack(images)
            read, images = [], []
    if read:
        yield read, np.stack(images)
