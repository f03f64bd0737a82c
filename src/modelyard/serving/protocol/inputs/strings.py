"""Strings: V2's BYTES, as Triton, MLServer (StringCodec) and their clients send them, [N] or [N, 1].

They are cut at what the model reads, and otherwise left as they are. Only `str` ever goes into a graph:
onnxruntime takes `bytes` for their repr without a word.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from modelyard.errors import BundleError, RequestError, quoted
from modelyard.samples import Form
from modelyard.samples.text_encodings import strings
from modelyard.serving.protocol.inputs.input import CheckRows, Node, SchemaViolation
from modelyard.serving.protocol.inputs.varying import MOST_BYTES, NUL, Varying

LENGTH = struct.Struct("<I")
"""Before each element of binary BYTES (Triton's binary_tensor_data extension)."""


@dataclass(frozen=True, slots=True)
class Strings(Varying):
    """Rows are kept as a list of `str`."""

    @classmethod
    def of_graph(cls, node: Node, form: Form) -> Self:
        if node.type != "tensor(string)" or node.shape[1:] != [1] or isinstance(node.shape[0], int):
            raise BundleError(
                f"tensor {node.name!r} is {node.type} {node.shape}; expected strings [batch, 1]"
            )
        return cls(node.name, form.longest)

    @property
    def datatype(self) -> str:
        return "BYTES"

    @property
    def config_type(self) -> str:
        return "TYPE_STRING"

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (1,)

    @property
    def row_bytes(self) -> int:
        return LENGTH.size

    def takes(self, row: tuple[float, ...]) -> bool:
        return row in {(), (1,)}

    def check_size(self, num_rows: int, _row: tuple[int, ...], size: int) -> None:
        if size < num_rows * LENGTH.size:
            raise self._wrong(num_rows, size)

    def from_binary(self, content: bytes, num_rows: int, _row: tuple[int, ...]) -> Any:
        rows: list[str] = []
        at, end = 0, len(content)
        for row in range(num_rows):
            start = at + LENGTH.size
            if start > end or (at := start + LENGTH.unpack_from(content, start - LENGTH.size)[0]) > end:
                raise self._wrong(num_rows, end)
            rows.append(self.decoded(content[start:at], row))
        if at != end:
            raise self._wrong(num_rows, end)
        return self.of_strings(self._cut(rows))

    def from_body(self, body: bytes) -> Any:
        return self.of_strings(self._cut([self.decoded(body, 0)]))

    def from_json(self, data: object, num_rows: int, _row: tuple[int, ...], *, has_booleans: bool) -> Any:
        if not isinstance(data, list) or len(data) != num_rows:
            received = f"{len(data)}" if isinstance(data, list) else type(data).__name__
            raise RequestError(f"data: expected a list of {num_rows} strings, received {received}")
        return self._read(data)

    def quickly(self, listed: bytes, num_rows: int) -> Any:
        """Of sound strings that are not large."""
        try:
            rows = orjson.loads(listed) if len(listed) <= MOST_BYTES else None
        except ValueError:
            return None
        if not isinstance(rows, list) or len(rows) != num_rows or set(map(type, rows)) != {str}:
            return None
        rows = [row[: self.longest] for row in rows]
        return None if "\0" in "".join(rows) else self.of_strings(rows)

    def from_cells(
        self, cells: object, check_rows: CheckRows, *, are_flat: bool, has_booleans: bool
    ) -> tuple[Any, int]:
        rows = cells if isinstance(cells, list) else [cells]
        check_rows(len(rows))
        try:
            return self._read(rows), len(rows)
        except RequestError as error:
            if error.status != HTTPStatus.BAD_REQUEST:
                raise
            raise SchemaViolation(str(error)) from None

    def packed(self, values: Sequence[bytes], max_rows: int) -> bytes:
        if len(values) > max_rows:
            raise RequestError(
                f"input {quoted(self.name)}: expected at most {max_rows} rows, received more rows"
            )
        return b"".join([LENGTH.pack(len(value)) + value for value in values])

    def batch(self, parts: Sequence[list[str]], num_rows: int) -> NDArray[Any]:
        return strings(parts[0] if len(parts) == 1 else [*chain.from_iterable(parts)])

    def of_strings(self, rows: list[str]) -> Any:
        return rows

    def lengths(self, rows_B: NDArray[Any]) -> NDArray[np.int64]:
        return np.array([*map(len, rows_B[:, 0].tolist())], np.int64)

    def part(self, rows_B: NDArray[Any], chosen: Sequence[int]) -> NDArray[Any]:
        return rows_B[[*chosen]]

    def metadata(self) -> dict[str, object]:
        return {"name": self.name, "datatype": self.datatype, "shape": [-1, 1]}

    def _read(self, values: list[Any]) -> Any:
        """Each a string, or a list of one. Raises: RequestError (400, 413)."""
        rows: list[str] = []
        for at, value in enumerate(values):
            row = value[0] if isinstance(value, list) and len(value) == 1 else value
            if not isinstance(row, str):
                raise RequestError(f"{self.name}: expected a string in row {at}, received {quoted(row)}")
            self.check_string(row, at)
            rows.append(row)
        return self.of_strings(self._cut(rows))

    def _cut(self, rows: list[str]) -> list[str]:
        rows = [row[: self.longest] for row in rows]
        for at, row in enumerate(rows):
            if "\0" in row:
                raise RequestError(f"{self.name}: row {at} holds {NUL}")
        return rows

    def _wrong(self, num_rows: int, received: int) -> RequestError:
        return RequestError(
            f"{self.name}: expected {num_rows} strings, each after its length in 4 bytes, received "
            f"{received} bytes that are not these"
        )
