"""Texts for a released model: as they are, files and folders of them. B texts."""

from __future__ import annotations

import os
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.bundle import Manifest
from modelyard.errors import ConfigError, DataError
from modelyard.files import read_regular
from modelyard.inference.reading.reader import Given, Refuse
from modelyard.samples import TextForm
from modelyard.samples.scan import files_below
from modelyard.samples.tensors import Encoding
from modelyard.samples.text import TextReading, UnreadableText, clean_text, decoded
from modelyard.samples.text_form import padded
from modelyard.terminal.printable import elided

Samples = str | Path | Sequence[str | Path] | NDArray[Any]
ENDING, STDIN = ".txt", "-"
MOST_BYTES = 2**26
"""Of a file; a text of 10 MB is read, and cut."""
SHOWN = 100
"""Characters of a text beside its answer."""
BATCH, BATCH_CHARACTERS = 256, 1_000_000
"""Texts, and characters of them, that a program's are answered together."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Brings texts to Unicode form C, cut at the model's longest."""

    form: TextForm
    reading: TextReading
    encoding: Encoding

    @classmethod
    def of(cls, manifest: Manifest, *, invert: bool) -> Texts:
        """For this model. Raises: ConfigError, since no text is inverted."""
        if invert:
            name = manifest.model_name
            raise ConfigError(f"--invert: expected a model of pictures, {name} reads texts; leave it out")
        signature = manifest.signature
        return cls(signature.form, manifest.reading, signature.form.encodings[signature.encoding])

    def find(self, words: Sequence[str], refuse: Refuse) -> tuple[list[str | Path], list[str]]:
        """Of a folder every .txt below it in their order, a file, `-` for stdin, and what is no path is a
        text. And what else lies in folders.
        """
        found: list[str | Path] = []
        others: list[str] = []
        for word in words:
            if not os.path.lexists(word):  # false, too, for what is too long or holds NUL
                found.append(Path(word) if word == STDIN or _is_name(word) else word)
            elif not os.path.isdir(word):  # noqa: PTH112 - reading what cannot be looked at tells why
                found.append(Path(word))
            else:
                try:
                    files, beside = files_below(Path(word), "texts", ENDING, ENDING)
                except DataError as error:
                    refuse(error)
                    continue
                found += files
                others += beside
        return found, others

    def read(self, item: str | Path) -> str:
        """The text as it was given. Raises: DataError for what is none."""
        if isinstance(item, str):
            self._clean(item)
            return item
        try:
            is_stream = str(item) == STDIN and not item.exists()
            content = sys.stdin.buffer.read(MOST_BYTES + 1) if is_stream else read_regular(item, MOST_BYTES)
            if len(content) > MOST_BYTES:
                raise OSError(None, f"larger than {MOST_BYTES} bytes")
        except OSError as error:
            raise DataError(f"{item}: not a readable text ({error.strerror or error})") from error
        try:
            text = decoded(content.removeprefix(BOM_UTF8))
            self._clean(text)
        except UnreadableText as error:
            raise DataError(f"{item}: {error}") from error
        return text

    def shown(self, name: str) -> str:
        """The beginning, and a little of the end; of an empty one its quotes."""
        return elided(name, SHOWN) or '""'

    def size_of(self, sample: str) -> int:
        """Of its characters those that are read."""
        return min(len(sample), self.form.longest)

    def raw(self, samples: Sequence[str]) -> NDArray[Any]:
        """[B, 1] or [B, length], as the graph takes them. Raises: UnreadableText."""
        return self.encoding.raw(padded([self._clean(text).encode() for text in samples]))

    def given(self, samples: Samples) -> Given:
        """A text, or several in a list, an array or a column of a table; a Path is a file.

        Raises: DataError that names the row, counted from 0.
        """
        listed = _listed(samples)
        return Given(self._batches(listed), [*map(self.shown, map(str, listed))])

    def _batches(self, listed: Sequence[object]) -> Iterator[NDArray[Any]]:
        batch: list[str] = []
        for at, one in enumerate(listed):
            try:
                batch.append(self.read(_as_item(one)))
            except DataError as error:
                raise (DataError(f"row {at}: {error}") if len(listed) > 1 else error) from None
            if len(batch) == BATCH or sum(map(self.size_of, batch)) >= BATCH_CHARACTERS:
                yield self.raw(batch)
                batch = []
        if batch:
            yield self.raw(batch)

    @property
    def told(self) -> str:
        """Where they are cut."""
        return f"texts of up to {self.form.longest:,} characters"

    @property
    def facts(self) -> dict[str, str]:
        """Where texts are cut, and how files are read."""
        return {"longest": f"{self.form.longest:,} characters", "texts": self.reading.told}

    def _clean(self, text: str) -> str:
        return clean_text(text, self.form.longest)


def _is_name(word: str) -> bool:
    """A file that is missing, more likely than a text."""
    return word.lower().endswith(ENDING) and len(word.split()) == 1


def _listed(samples: Samples) -> list[Any]:
    """One after the other. Raises: DataError for what has another shape."""
    if isinstance(samples, str | bytes) or not isinstance(samples, Iterable):
        return [samples]
    if isinstance(samples, Mapping):
        raise DataError(
            f"expected texts in a list or an array, received {type(samples).__name__}; give one of its values"
        )
    if hasattr(samples, "to_numpy"):  # a table would give the names of its columns
        samples = samples.to_numpy()
    if isinstance(samples, np.ndarray):
        if samples.dtype.kind not in "UO" or samples.shape[1:] not in {(), (1,)}:
            raise DataError(
                "expected texts, an array of str [N] or [N, 1], received "
                f"{samples.dtype} {list(samples.shape)}"
            )
        return list(samples.reshape(-1))
    return [samples] if isinstance(samples, Path) else list(samples)


def _as_item(one: object) -> str | Path:
    """Raises: DataError for bytes, numbers and what is missing."""
    if not isinstance(one, str | Path):
        remedy = "; decode it: value.decode()" if isinstance(one, bytes) else ""
        raise DataError(f"expected a text (str) or a file (Path), received {type(one).__name__}{remedy}")
    return one
