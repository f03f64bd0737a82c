"""Classifying image files with a released bundle: onnxruntime, numpy and pillow only.

B batch, H height, W width, C channels, K classes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Manifest
from modelyard.errors import DataError, StoreError
from modelyard.home import Home
from modelyard.inference.doubts import doubts
from modelyard.inference.session import classify, open_session
from modelyard.releases.folders import read_release
from modelyard.releases.pointers import CHAMPION, is_version, models_with, read_pointer
from modelyard.samples.formats import NAMES
from modelyard.samples.image import picture_pixels
from modelyard.samples.names import PROBABILITIES
from modelyard.samples.scan import scan_folder, told

BATCH, BATCH_BYTES = 64, 4_000_000
"""Images, and bytes of their pixels, that are answered together; more of either is no faster."""


def released_folder(home: Home, model: str = "") -> Path:
    """The release folder of `name@alias` or `name@number`; without a name, of the only model's champion.

    Raises: StoreError when there is none, or no name and several models.
    """
    name, _, alias = model.partition("@")
    name, alias = name or _only_name(home), alias or CHAMPION
    folder = home.releases_of(name)
    pointer = read_pointer(home.releases, name, alias)
    if pointer and pointer.fault:
        raise StoreError(pointer.fault)
    number = pointer.version if pointer else alias
    if not is_version(number) or not (folder / number).is_dir():
        versions = sorted((path.name for path in folder.glob("*") if is_version(path.name)), key=int)
        if versions and alias == CHAMPION:
            raise StoreError(f"{name} has no champion; expected a version, such as {name}@{versions[-1]}")
        raise StoreError(f"no release {model[:80]!r} in {home.releases}; see modelyard models list")
    return folder / number


def _only_name(home: Home) -> str:
    names = models_with(home.releases)
    if len(names) != 1:
        raise StoreError(
            f"--model expects one of {', '.join(names)}"
            if names
            else f"no release in {home.releases} yet; start with: modelyard run"
        )
    return names[0]


def find_pictures(paths: Sequence[Path], refuse: Callable[[DataError], None]) -> tuple[list[Path], list[str]]:
    """A file as it is, whatever its name; of a folder every picture below it in their order. And what else
    lies in folders.
    """
    files: list[Path] = []
    others: list[str] = []
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - false for what cannot be looked at: reading it tells why
            files.append(path)
            continue
        try:
            scan = scan_folder(path)
            if not scan.pictures:
                raise DataError(
                    f"{path}: holds no pictures; expected {NAMES}; {told(scan.others) or 'it is empty'}"
                )
        except DataError as error:
            refuse(error)
            continue
        files += [path / name for name in scan.pictures]
        others += scan.others
    return files, others


def predict_files(
    home: Home,
    model: str,
    files: Sequence[Path],
    refuse: Callable[[DataError], None] | None = None,
    *,
    invert: bool = False,
) -> Iterator[dict[str, Any]]:
    """Label, probabilities and milliseconds for each file, in their order; warnings where a picture looks
    wrong.

    A file that is no image is given to `refuse`, and the rest is answered; without it the first raises.
    Raises: DataError for it, StoreError for an unknown model.
    """
    bundle = read_release(released_folder(home, model))
    manifest, session = bundle.manifest, open_session(bundle.model)
    for batch in _batches(files, manifest, refuse, invert):
        start = time.perf_counter()
        probabilities_BK = classify(session, np.stack([pixels_HWC for _, pixels_HWC in batch]))
        elapsed_ms = (time.perf_counter() - start) * 1e3 / len(batch)
        for (file, pixels_HWC), probabilities_K in zip(batch, probabilities_BK, strict=True):
            best = int(probabilities_K.argmax())
            found = doubts(pixels_HWC, manifest)
            yield {
                manifest.signature.names.one: str(file),
                "label": manifest.classes[best],
                "probability": float(probabilities_K[best]),
                "ms": elapsed_ms,
                PROBABILITIES: dict(zip(manifest.classes, probabilities_K.tolist(), strict=True)),
                **({"warnings": found} if found else {}),
            }


def _batches(
    files: Sequence[Path], manifest: Manifest, refuse: Callable[[DataError], None] | None, invert: bool
) -> Iterator[list[tuple[Path, NDArray[np.uint8]]]]:
    """The files that could be read and their pixels [H, W, C]; one batch at a time is in memory."""
    reading = manifest.reading.inverted() if invert else manifest.reading
    batch: list[tuple[Path, NDArray[np.uint8]]] = []
    for file in files:
        try:
            pixels_HWC = picture_pixels(file, manifest.form, reading)
            batch.append((file, 255 - pixels_HWC if invert else pixels_HWC))
        except DataError as error:
            if refuse is None:
                raise
            refuse(error)
        if len(batch) == BATCH or sum(pixels_HWC.size for _, pixels_HWC in batch) >= BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch
