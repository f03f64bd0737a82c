"""Classifying files with a released bundle: onnxruntime and numpy only, pillow for pictures.

B batch, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from modelyard.errors import DataError, StoreError
from modelyard.home import Home
from modelyard.inference.doubts import doubts
from modelyard.inference.reading import reader_of
from modelyard.inference.reading.reader import Refuse
from modelyard.inference.session import classify, open_session
from modelyard.releases.folders import read_release
from modelyard.releases.pointers import CHAMPION, is_version, models_with, read_pointer
from modelyard.samples.names import PROBABILITIES

BATCH, BATCH_BYTES = 64, 4_000_000
"""Samples, and values of them, that are answered together; more of either is no faster."""


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


class Asked:
    """A released model, and who reads for it."""

    def __init__(self, home: Home, model: str = "", *, invert: bool = False) -> None:
        """Raises: StoreError for an unknown model, ConfigError where its samples cannot be inverted."""
        self._bundle = read_release(released_folder(home, model))
        self.manifest = self._bundle.manifest
        self.reader = reader_of(self._bundle, invert=invert)

    def answers(self, items: Iterable[Any], refuse: Refuse | None = None) -> Iterator[dict[str, Any]]:
        """Label, probabilities and milliseconds for each item that its reader found, in their order; warnings
        where one looks wrong.

        What cannot be read is given to `refuse`, and the rest is answered; without it the first raises.
        Raises: DataError for it, BundleError where the model cannot be loaded or fails.
        """
        manifest, session = self.manifest, open_session(self._bundle.model)
        for batch in self._batches(items, refuse):
            start = time.perf_counter()
            probabilities_BK = classify(session, self.reader.raw([sample for _, sample in batch]))
            elapsed_ms = (time.perf_counter() - start) * 1e3 / len(batch)
            for (item, sample), probabilities_K in zip(batch, probabilities_BK, strict=True):
                best = int(probabilities_K.argmax())
                found = doubts(sample, manifest)
                yield {
                    manifest.signature.names.one: str(item),
                    "label": manifest.classes[best],
                    "probability": float(probabilities_K[best]),
                    "ms": elapsed_ms,
                    PROBABILITIES: dict(zip(manifest.classes, probabilities_K.tolist(), strict=True)),
                    **({"warnings": found} if found else {}),
                }

    def _batches(self, items: Iterable[Any], refuse: Refuse | None) -> Iterator[list[tuple[Any, Any]]]:
        """What could be read, with its sample; one batch at a time is in memory."""
        batch: list[tuple[Any, Any]] = []
        for item in items:
            try:
                batch.append((item, self.reader.read(item)))
            except DataError as error:
                if refuse is None:
                    raise
                refuse(error)
            sizes = (self.reader.size_of(sample) for _, sample in batch)
            if len(batch) == BATCH or sum(sizes) >= BATCH_BYTES:
                yield batch
                batch = []
        if batch:
            yield batch


def predict_files(
    home: Home, model: str, files: Iterable[Any], refuse: Refuse | None = None, *, invert: bool = False
) -> Iterator[dict[str, Any]]:
    """The answers of a released model (`Asked`)."""
    return Asked(home, model, invert=invert).answers(files, refuse)
