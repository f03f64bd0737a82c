"""How a graph takes texts: as strings, as their bytes, or as subwords. B batch, L length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import ConfigError
from modelyard.samples.names import BATCH, TEXT
from modelyard.samples.subwords import TOKENIZER_FILE, Subwords
from modelyard.samples.tensors import Encoding, TensorSpec
from modelyard.samples.text import text_of


@dataclass(frozen=True, slots=True)
class Strings(Encoding):
    """A graph that takes texts as they are."""

    name: ClassVar[str] = "strings"
    value: ClassVar[str] = "strings"
    form: Any
    """`TextForm`, which lists these."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """string [B, 1]."""
        return (TensorSpec(TEXT.input, "str", ((BATCH, None), ("one", 1))),)

    @property
    def told(self) -> str:
        """Form and limit."""
        return (
            "str [N, 1] of numpy, in Unicode form C, or a table with the column texts; the first "
            f"{self.form.longest} characters of each are read"
        )

    def raw(self, samples: NDArray[Any]) -> NDArray[Any]:
        """uint8 [B, L] -> str [B, 1], an array of objects."""
        return strings([text_of(row_L) for row_L in samples])

    def loosened(self, raw: NDArray[Any], by: int) -> NDArray[Any]:
        """With one more of so many characters, and words, more than the longest."""
        return strings([*raw[:, 0], "a " * (max(map(len, raw[:, 0])) + by)])


@dataclass(frozen=True, slots=True)
class RawBytes(Encoding):
    """A graph that takes UTF-8, padded with zeros."""

    name: ClassVar[str] = "bytes"
    value: ClassVar[str] = "bytes"
    form: Any
    """`TextForm`, which lists these."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """uint8 [B, L]."""
        return (TensorSpec("bytes", "uint8", ((BATCH, None), ("length", None))),)

    @property
    def told(self) -> str:
        """Form, limit and padding."""
        return (
            f"uint8 [N, length]: UTF-8 of up to {self.form.longest} characters in form C, padded with zeros"
        )

    def raw(self, samples: NDArray[Any]) -> NDArray[Any]:
        """uint8 [B, L] as they are."""
        return samples

    def loosened(self, raw: NDArray[Any], by: int) -> NDArray[Any]:
        """With so many more zeros at the end of each."""
        return np.pad(raw, ((0, 0), (0, by)))


@dataclass(frozen=True, slots=True)
class Ids(Encoding):
    """A graph that takes subwords, which the tokenizer in the bundle makes of a text."""

    name: ClassVar[str] = "ids"
    value: ClassVar[str] = "ids"
    files: ClassVar[tuple[str, ...]] = (TOKENIZER_FILE,)
    form: Any
    """`TextForm`, which lists these."""
    tokenizer: Subwords | None = None

    def fed(self, files: Mapping[str, bytes]) -> Self:
        """Raises: ConfigError."""
        try:
            told = files[TOKENIZER_FILE].decode()
        except (KeyError, UnicodeDecodeError):
            raise ConfigError(f"expected {TOKENIZER_FILE} beside the graph, in UTF-8") from None
        return replace(self, tokenizer=Subwords.of(told))

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """int64 [B, L]."""
        return (TensorSpec("ids", "int64", ((BATCH, None), ("length", None))),)

    @property
    def told(self) -> str:
        """What makes them, limit and padding."""
        return (
            f"int64 [N, length]: what {TOKENIZER_FILE} in the release's folder makes of the first "
            f"{self.form.longest} characters of a text in form C, padded with zeros"
        )

    @property
    def subwords(self) -> Subwords:
        """Raises: ConfigError before `fed`."""
        if self.tokenizer is None:
            raise ConfigError(f"expected {TOKENIZER_FILE} beside the graph")
        return self.tokenizer

    def raw(self, samples: NDArray[Any]) -> NDArray[Any]:
        """uint8 [B, L] UTF-8 -> int64 [B, L]."""
        return ids([self.subwords.numbers(text_of(row_L)[: self.form.longest]) for row_L in samples])

    def loosened(self, raw: NDArray[Any], by: int) -> NDArray[Any]:
        """With so many more zeros at the end of each."""
        return np.pad(raw, ((0, 0), (0, by)))


def ids(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """int64 [B, L], padded with zeros to the longest, and at least 1."""
    ids_BL = np.zeros((len(rows), max(1, max(map(len, rows), default=1))), np.int64)
    for row, numbers in enumerate(rows):
        ids_BL[row, : len(numbers)] = numbers
    return ids_BL


def strings(texts: Sequence[str]) -> NDArray[Any]:
    """The input of a graph that takes strings, [B, 1]; never `bytes`, whose repr onnxruntime would take."""
    array = np.empty((len(texts), 1), object)
    array[:, 0] = texts
    return array
