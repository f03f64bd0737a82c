"""What strings and padded bytes have in common: rows of unequal length, of which so many characters are read.

A batch costs as much as its longest row makes all of them, so rows are counted by length. B batch, L length.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import RequestError
from modelyard.samples.tensors import Encoding
from modelyard.samples.text_form import BYTES_A_CHARACTER

MOST_BYTES = 2**20
"""Of one row. A model reads no more than its first characters, and a book is no row."""
USUAL = 0.9
"""So many of the golden rows are no longer than what is taken for usual."""
NUL = "the character NUL, which stands for padding; remove it"


@dataclass(frozen=True, slots=True)
class Varying(ABC):
    """An input whose rows have any length."""

    name: str
    longest: int
    """Characters of a row that are read."""
    typical: int = 1
    """Length of a usual row, in the unit of `lengths`."""

    @property
    def offered(self) -> tuple[Any, ...]:
        return (self,)

    def fed(self, _encoding: Encoding) -> Self:
        return self

    @property
    def json_bytes(self) -> int:
        return MOST_BYTES

    @property
    def remedy(self) -> str:
        return ""

    @abstractmethod
    def of_strings(self, rows: list[str]) -> Any:
        """Rows of a request that are sound and cut."""

    @abstractmethod
    def lengths(self, rows_B: NDArray[Any]) -> NDArray[np.int64]:
        """Of each row of a batch [B]."""

    @abstractmethod
    def part(self, rows_B: NDArray[Any], chosen: Sequence[int]) -> NDArray[Any]:
        """Some rows of a batch, no longer than they need to be."""

    def measured_by(self, golden: NDArray[Any]) -> Self:
        ordered = np.sort(self.lengths(golden))
        return replace(self, typical=max(1, int(ordered[math.ceil(USUAL * len(ordered)) - 1])))

    def usual(self, golden: NDArray[Any]) -> NDArray[Any]:
        is_typical = np.maximum(self.lengths(golden), 1) == self.typical
        return self.part(golden, [int(is_typical.argmax())])

    def alone(self, row: NDArray[Any]) -> NDArray[Any]:
        return self.part(row[None], [0])

    def extent(self, rows: Sequence[Sized]) -> int:
        return max(1, math.ceil(max(map(len, rows)) / self.typical))

    def pieces(self, rows_B: NDArray[Any], cap: int) -> tuple[list[NDArray[Any]], NDArray[np.int64]]:
        lengths_B = self.lengths(rows_B)
        order_B = np.argsort(lengths_B, kind="stable")
        groups: list[list[int]] = [[]]
        for row in order_B.tolist():
            extent = max(1, math.ceil(int(lengths_B[row]) / self.typical))
            if groups[-1] and (len(groups[-1]) + 1) * extent > cap:
                groups.append([])
            groups[-1].append(row)
        return [self.part(rows_B, group) for group in groups], np.argsort(order_B)

    def decoded(self, content: bytes, row: int) -> str:
        """UTF-8. Raises: RequestError (400, 413) that names the row, counted from 0."""
        self.check_length(len(content), row)
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise RequestError(
                f"{self.name}: row {row} is not UTF-8 (byte {error.start} is 0x{content[error.start]:02x}); "
                "send UTF-8"
            ) from None

    def check_string(self, text: str, row: int) -> None:
        """Raises: RequestError (413)."""
        if len(text) > MOST_BYTES // BYTES_A_CHARACTER:
            self.check_length(len(text.encode()), row)

    def check_length(self, num_bytes: int, row: int) -> None:
        """Raises: RequestError (413)."""
        if num_bytes > MOST_BYTES:
            raise RequestError(
                f"{self.name}: expected at most {MOST_BYTES} bytes in a row, received {num_bytes} in row "
                f"{row}; the model reads its first {self.longest} characters, send these",
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
