"""Subwords, int64 [N, L] for any L, padded with zeros; and strings, which the tokenizer in the bundle makes
into these before they are queued.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import BundleError, DataError, RequestError, quoted
from modelyard.samples import Form
from modelyard.samples.names import TEXT
from modelyard.samples.subwords import Subwords as Tokenizer
from modelyard.samples.tensors import Encoding
from modelyard.samples.text_encodings import Ids, ids
from modelyard.serving.protocol.inputs.input import CheckRows, Node, SchemaViolation
from modelyard.serving.protocol.inputs.padded import Padded
from modelyard.serving.protocol.inputs.strings import Strings
from modelyard.serving.protocol.tensors import WireTensor, to_bytes

NUMBER = np.dtype(np.int64)


@dataclass(frozen=True, slots=True)
class Subwords(Padded):
    """Rows are kept as lists of numbers without padding."""

    known: Tokenizer | None = None

    @classmethod
    def of_graph(cls, node: Node, form: Form) -> Self:
        is_free = len(node.shape) == 2 and not any(isinstance(extent, int) for extent in node.shape)
        if node.type != "tensor(int64)" or not is_free:
            raise BundleError(
                f"tensor {node.name!r} is {node.type} {node.shape}; expected int64 [batch, length], both free"
            )
        return cls(node.name, form.longest)

    def fed(self, encoding: Encoding) -> Self:
        return replace(self, known=cast(Ids, encoding).subwords)

    @property
    def tokenizer(self) -> Tokenizer:
        """Of the bundle."""
        assert self.known is not None
        return self.known

    @property
    def offered(self) -> tuple[Any, ...]:
        return Spelt(TEXT.input, self.longest, whole=self), self

    @property
    def datatype(self) -> str:
        return "INT64"

    @property
    def config_type(self) -> str:
        return "TYPE_INT64"

    @property
    def row_bytes(self) -> int:
        return NUMBER.itemsize

    def check_size(self, num_rows: int, row: tuple[int, ...], size: int) -> None:
        if size != num_rows * row[0] * NUMBER.itemsize:
            raise self._tensor(row[0]).wrong_size(num_rows, size)

    def from_binary(self, content: bytes, num_rows: int, row: tuple[int, ...]) -> list[Any]:
        rows_NL = np.frombuffer(content, NUMBER).reshape(num_rows, row[0])
        return [self._read(row_L, at) for at, row_L in enumerate(rows_NL)]

    def from_cells(
        self, cells: object, check_rows: CheckRows, *, are_flat: bool, has_booleans: bool
    ) -> tuple[list[Any], int]:
        if not isinstance(cells, list) or not all(isinstance(cell, list) and cell for cell in cells):
            raise SchemaViolation(f"{self.name}: expected lists of integers, received {quoted(cells)}")
        check_rows(len(cells))
        rows = [self.from_json(cell, 1, (len(cell),), has_booleans=has_booleans)[0] for cell in cells]
        return rows, len(rows)

    def packed(self, values: Sequence[int], max_rows: int) -> bytes:
        if len(values) > max_rows * self.tokenizer.longest:
            raise RequestError(f"input {quoted(self.name)}: expected at most {max_rows} rows, received more")
        return to_bytes(list(values), self._tensor(len(values)), has_booleans=False)

    def batch(self, parts: Sequence[list[Any]], num_rows: int) -> NDArray[Any]:
        return ids(parts[0] if len(parts) == 1 else [*chain.from_iterable(parts)])

    def of_strings(self, rows: list[str]) -> list[Any]:
        try:
            return [self.tokenizer.numbers(row[: self.longest]) for row in rows]
        except DataError as error:
            raise RequestError(str(error)) from None

    def _read(self, row_L: NDArray[np.int64], at: int) -> list[int]:
        """As many as the encoder reads, and none that it does not know."""
        numbers, most = np.trim_zeros(row_L, "b")[: self.tokenizer.longest], self.tokenizer.count - 1
        if len(numbers) and not 0 < numbers.min() <= numbers.max() <= most:
            raise RequestError(
                f"{self.name}: expected integers 1 to {most} in row {at}, and zeros only behind them, "
                f"received {numbers.min()} to {numbers.max()}"
            )
        return cast("list[int]", numbers.tolist())

    def _tensor(self, length: int) -> WireTensor:
        return WireTensor(self.name, self.datatype, NUMBER, (length,))


@dataclass(frozen=True, slots=True)
class Spelt(Strings):
    """Strings that become subwords as soon as they are read."""

    whole: Subwords | None = None

    def of_strings(self, rows: list[str]) -> Any:
        assert self.whole is not None
        return self.whole.of_strings(rows)
