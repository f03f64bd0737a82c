"""UTF-8 as numbers, padded with zeros to the longest row of a request: uint8 [N, L], for any L."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import BundleError, RequestError, quoted
from modelyard.samples import Form
from modelyard.samples.text_form import BYTES_A_CHARACTER, padded
from modelyard.serving.protocol.inputs.input import CheckRows, Node, SchemaViolation
from modelyard.serving.protocol.inputs.varying import MOST_BYTES, NUL, Varying
from modelyard.serving.protocol.tensors import WireTensor, flatten, to_bytes

FREE = -1
BYTE = np.dtype(np.uint8)


@dataclass(frozen=True, slots=True)
class Padded(Varying):
    """Rows are kept as a list of `bytes` without padding."""

    @classmethod
    def of_graph(cls, node: Node, form: Form) -> Self:
        if node.type != "tensor(uint8)" or len(node.shape) != 2 or any(map(_is_fixed, node.shape)):
            raise BundleError(
                f"tensor {node.name!r} is {node.type} {node.shape}; expected bytes [batch, length], both free"
            )
        return cls(node.name, form.longest)

    @property
    def datatype(self) -> str:
        return "UINT8"

    @property
    def config_type(self) -> str:
        return "TYPE_UINT8"

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (FREE,)

    @property
    def row_bytes(self) -> int:
        return 1

    def takes(self, row: tuple[float, ...]) -> bool:
        return len(row) == 1 and row[0] >= 1 and not row[0] % 1

    def check_size(self, num_rows: int, row: tuple[int, ...], size: int) -> None:
        if size != num_rows * row[0]:
            raise self._tensor(row[0]).wrong_size(num_rows, size)

    def from_binary(self, content: bytes, num_rows: int, row: tuple[int, ...]) -> list[bytes]:
        (length,) = row
        return [
            self._checked(content[at * length : (at + 1) * length].rstrip(b"\0"), at)
            for at in range(num_rows)
        ]

    def from_body(self, body: bytes) -> list[bytes]:
        return self.from_binary(body, 1, (len(body),))

    def from_json(
        self, data: object, num_rows: int, row: tuple[int, ...], *, has_booleans: bool
    ) -> list[bytes]:
        flat = flatten(data, [num_rows, *row])
        return self.from_binary(
            to_bytes(flat, self._tensor(row[0]), has_booleans=has_booleans), num_rows, row
        )

    def quickly(self, listed: bytes, num_rows: int) -> None:
        return None

    def from_cells(
        self, cells: object, check_rows: CheckRows, *, are_flat: bool, has_booleans: bool
    ) -> tuple[list[bytes], int]:
        if not isinstance(cells, list) or not all(isinstance(cell, list) for cell in cells):
            raise SchemaViolation(f"{self.name}: expected a list of lists of bytes, received {quoted(cells)}")
        check_rows(len(cells))
        rows = [to_bytes(cell, self._tensor(len(cell)), has_booleans=has_booleans) for cell in cells]
        return [self._checked(row.rstrip(b"\0"), at) for at, row in enumerate(rows)], len(rows)

    def packed(self, values: Sequence[int], max_rows: int) -> bytes:
        if len(values) > max_rows * MOST_BYTES:
            raise RequestError(f"input {quoted(self.name)}: expected at most {max_rows} rows, received more")
        return to_bytes(list(values), self._tensor(len(values)), has_booleans=False)

    def batch(self, parts: Sequence[list[bytes]], num_rows: int) -> NDArray[Any]:
        return padded(parts[0] if len(parts) == 1 else [*chain.from_iterable(parts)])

    def of_strings(self, rows: list[str]) -> list[bytes]:
        return [row.encode() for row in rows]

    def lengths(self, rows_B: NDArray[Any]) -> NDArray[np.int64]:
        lengths_B: NDArray[np.int64] = np.count_nonzero(rows_B, axis=1)
        return lengths_B

    def part(self, rows_B: NDArray[Any], chosen: Sequence[int]) -> NDArray[Any]:
        rows_BL = rows_B[[*chosen]]
        return rows_BL[:, : max(1, int(self.lengths(rows_BL).max()))]

    def metadata(self) -> dict[str, object]:
        return {"name": self.name, "datatype": self.datatype, "shape": [FREE, FREE]}

    def _checked(self, row: bytes, at: int) -> bytes:
        """UTF-8, and no more of it than the model can read, since further bytes change no answer."""
        self.decoded(row, at)
        read = row[: BYTES_A_CHARACTER * self.longest]
        if b"\0" in read:
            raise RequestError(f"{self.name}: row {at} holds {NUL}")
        return read

    def _tensor(self, length: int) -> WireTensor:
        return WireTensor(self.name, self.datatype, BYTE, (length,))


def _is_fixed(extent: object) -> bool:
    return isinstance(extent, int)
