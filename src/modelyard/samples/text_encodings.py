"""How a graph takes texts: as strings, or as their bytes. B batch, L length in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from modelyard.samples.names import BATCH, TEXT
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


def strings(texts: Sequence[str]) -> NDArray[Any]:
    """The input of a graph that takes strings, [B, 1]; never `bytes`, whose repr onnxruntime would take."""
    array = np.empty((len(texts), 1), object)
    array[:, 0] = texts
    return array
