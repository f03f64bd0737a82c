"""Rows of numbers, all of one shape, as images are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from modelyard.errors import RequestError, quoted
from modelyard.samples import Form
from modelyard.samples.tensors import Encoding
from modelyard.serving.protocol.inputs.input import CheckRows, Node, SchemaViolation
from modelyard.serving.protocol.tensors import WireTensor, flatten, to_bytes

VALUE_BYTES = 24
"""The most bytes of a number in JSON: the longest double, a comma and a blank."""


class Numbers(WireTensor):
    """Rows are kept as their bytes."""

    __slots__ = ()

    @classmethod
    def of_graph(cls, node: Node, _form: Form) -> Self:
        return cls.from_graph(node.name, node.type, node.shape)

    @property
    def offered(self) -> tuple[Numbers, ...]:
        return (self,)

    def fed(self, _encoding: Encoding) -> Self:
        return self

    @property
    def json_bytes(self) -> int:
        return math.prod(self.row_shape) * VALUE_BYTES

    def measured_by(self, _golden: NDArray[Any]) -> Self:
        return self

    def usual(self, golden: NDArray[Any]) -> NDArray[Any]:
        return golden

    def alone(self, row: NDArray[Any]) -> NDArray[Any]:
        return row[None]

    def takes(self, row: tuple[float, ...]) -> bool:
        return row == self.row_shape

    def check_size(self, num_rows: int, _row: tuple[int, ...], size: int) -> None:
        if size != num_rows * self.row_bytes:
            raise self.wrong_size(num_rows, size)

    def from_binary(self, content: bytes, _num_rows: int, _row: tuple[int, ...]) -> bytes:
        return content

    def from_body(self, body: bytes) -> bytes:
        if len(body) != self.row_bytes:
            raise self.wrong_size(1, len(body))
        return body

    def from_json(self, data: object, num_rows: int, _row: tuple[int, ...], *, has_booleans: bool) -> bytes:
        if self.datatype == "FP16":
            raise RequestError("FP16 has no JSON form; send the input as binary data")
        return to_bytes(flatten(data, [num_rows, *self.row_shape]), self, has_booleans=has_booleans)

    def quickly(self, listed: bytes, num_rows: int) -> bytes | None:
        """Of the integers 0 to 255."""
        if self.datatype != "UINT8" or b"t" in listed or b"f" in listed:  # true and false count as integers
            return None
        try:
            rows = bytes(orjson.loads(listed))
        except (ValueError, TypeError):
            return None
        return rows if len(rows) == num_rows * self.row_bytes else None

    def from_cells(
        self, cells: object, check_rows: CheckRows, *, are_flat: bool, has_booleans: bool
    ) -> tuple[bytes, int]:
        row_shape = [math.prod(self.row_shape)] if are_flat else [*self.row_shape]
        num_rows = len(cells) if isinstance(cells, list) else 0
        if num_rows:
            check_rows(num_rows)
        try:
            if not isinstance(cells, list) or not cells or not isinstance(cells[0], list):
                raise RequestError(f"expected a list of rows of shape {row_shape}")
            flat = flatten(cells, [num_rows, *row_shape])
        except RequestError as error:
            to_bytes(
                _innermost(cells), self, has_booleans=True
            )  # what is no tensor is another error than another shape
            raise SchemaViolation(
                f"Shape of input does not match expected shape {(-1, *self.row_shape)}: {error}"
            ) from None
        return to_bytes(flat, self, has_booleans=has_booleans), num_rows

    def packed(self, values: Sequence[Any], max_rows: int) -> bytes:
        if len(values) * self.dtype.itemsize > (most := max_rows * self.row_bytes):
            raise RequestError(
                f"input {quoted(self.name)}: expected at most {most} bytes, received more rows"
            )
        return to_bytes(list(values), self, has_booleans=False)

    def batch(self, parts: Sequence[bytes], num_rows: int) -> NDArray[Any]:
        joined = parts[0] if len(parts) == 1 else b"".join(parts)
        return np.frombuffer(joined, self.dtype).reshape(num_rows, *self.row_shape)

    def extent(self, _rows: bytes) -> int:
        return 1

    def pieces(self, rows_B: NDArray[Any], cap: int) -> tuple[list[NDArray[Any]], slice]:
        return [rows_B[start : start + cap] for start in range(0, len(rows_B), cap)], slice(None)


def _innermost(value: Any) -> list[Any]:
    """The values of lists that are nested evenly, however deep. Raises: RequestError."""
    level = [value]
    while set(map(type, level)) == {list}:
        if len(set(map(len, level))) > 1:
            raise RequestError("Invalid input: the lists are ragged")
        level = list(chain.from_iterable(level))
    return level
