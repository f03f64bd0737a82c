"""Classifying image files with a released bundle: onnxruntime, numpy and pillow only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from modelyard.bundle import MODEL_FILE, open_bundle
from modelyard.errors import DataError, StoreError
from modelyard.home import Home
from modelyard.inference import classify, open_session


def released_folder(home: Home, model: str) -> Path:
    """The release folder of `name@alias` or `name@number`. Raises: StoreError when there is none."""
    name, _, alias = model.partition("@")
    folder = home.releases / name
    pointer = folder / f"{alias or 'champion'}.alias"
    number = pointer.read_text().strip() if pointer.exists() else alias
    if not number or not (folder / number).is_dir():
        raise StoreError(f"no release {model!r} in {home.releases}; see modelyard models list")
    return folder / number


def predict_files(home: Home, model: str, images: list[Path]) -> Iterator[dict[str, Any]]:
    """Label, probability and milliseconds for each file."""
    folder = released_folder(home, model)
    manifest = open_bundle(folder)
    session = open_session(folder / MODEL_FILE)
    for path in images:
        pixels_1HWC = _read(path, manifest.image_shape)[None]
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


def _read(path: Path, image_shape: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    height, width, channels = image_shape
    try:
        with Image.open(path) as image:
            fitted = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path}: not a readable image ({type(error).__name__}); expected PNG or JPEG") from error
    return np.asarray(fitted, np.uint8).reshape(height, width, channels)
