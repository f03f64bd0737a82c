"""Classifying image files with a released bundle: onnxruntime, numpy and pillow only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard.data.images import picture_pixels
from modelyard.errors import StoreError
from modelyard.home import Home
from modelyard.inference import classify, open_session
from modelyard.releases import CHAMPION, is_version, read_pointers, read_release


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


def predict_files(home: Home, model: str, images: list[Path]) -> Iterator[dict[str, Any]]:
    """Label, probability and milliseconds for each file. Raises: DataError for a file that is no image."""
    bundle = read_release(released_folder(home, model))
    manifest, session = bundle.manifest, open_session(bundle.model)
    height, width, channels = manifest.image_shape
    for path in images:
        pixels_1HWC = picture_pixels(path, (channels, height, width), manifest.reading)[None]
        start = time.perf_counter()
        probabilities_K = classify(session, pixels_1HWC)[0]
        elapsed_ms = (time.perf_counter() - start) * 1e3
        best = int(probabilities_K.argmax())
        yield {
            "image": str(path),
            "label": manifest.classes[best],
            "probability": float(probabilities_K[best]),
            "ms": elapsed_ms,
        }
