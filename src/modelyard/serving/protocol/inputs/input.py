"""What the readers, the queue and the engine ask of an input, whatever is in it. N rows of a request, B of a
batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from modelyard.errors import RequestError
from modelyard.samples import Form
from modelyard.samples.tensors import Encoding

Rows = Any
"""Of one request, as its input keeps them until they become a batch; others only hand them on."""
CheckRows = Callable[[int], None]
"""Raises: RequestError for too many rows."""


class SchemaViolation(RequestError):
    """The data is JSON but not the model's input; MLflow has its own code for it."""


class Node(Protocol):
    """An input as onnxruntime tells of it."""

    name: str
    type: str
    shape: list[int | str | None]


class Input(Protocol):
    """One input of a graph; its first axis is the batch."""

    @property
    def name(self) -> str:
        """In the graph, and of clients."""

    @property
    def datatype(self) -> str:
        """In V2."""

    @property
    def config_type(self) -> str:
        """In Triton's model configuration."""

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Of one row; -1 is free."""

    @property
    def row_bytes(self) -> int:
        """Of one row as it is sent in binary, at least."""

    @property
    def json_bytes(self) -> int:
        """Of one row in JSON, at most."""

    @property
    def remedy(self) -> str:
        """What to send instead of another datatype."""

    @property
    def offered(self) -> tuple[Input, ...]:
        """What clients may send in its place, the first of them as the metadata say; rows are alike."""

    @classmethod
    def of_graph(cls, node: Node, form: Form) -> Self:
        """Raises: BundleError for what is no such input."""

    def fed(self, encoding: Encoding) -> Self:
        """With what makes the input of samples (`Bundle.encoding`)."""

    def measured_by(self, golden: NDArray[Any]) -> Self:
        """As this is with `extent` 1 for what is usual."""

    def usual(self, golden: NDArray[Any]) -> NDArray[Any]:
        """Rows that take as long as usual ones; a batch is timed with them."""

    def alone(self, row: NDArray[Any]) -> NDArray[Any]:
        """A batch of one golden row, as it comes by itself [1, ...]."""

    def takes(self, row: tuple[float, ...]) -> bool:
        """Whether rows in a request may be of this shape."""

    def check_size(self, num_rows: int, row: tuple[int, ...], size: int) -> None:
        """Raises: RequestError (400) when binary rows cannot have so many bytes."""

    def from_binary(self, content: bytes, num_rows: int, row: tuple[int, ...]) -> Rows:
        """Binary tensor data. Raises: RequestError (400, 413)."""

    def from_body(self, body: bytes) -> Rows:
        """One row that is all of a body. Raises: RequestError (400, 413)."""

    def from_json(self, data: object, num_rows: int, row: tuple[int, ...], *, has_booleans: bool) -> Rows:
        """The data of V2's JSON; without `has_booleans` there is none among them. Raises: RequestError."""

    def quickly(self, listed: bytes, num_rows: int) -> Rows | None:
        """What `from_json` makes of the text of a flat list, where it can be had without looking twice."""

    def from_cells(
        self, cells: object, check_rows: CheckRows, *, are_flat: bool, has_booleans: bool
    ) -> tuple[Rows, int]:
        """The rows of MLflow's forms and how many there are; `are_flat` of a table. Raises: RequestError."""

    def packed(self, values: Sequence[Any], max_rows: int) -> bytes:
        """Typed contents of gRPC as binary tensor data. Raises: RequestError."""

    def batch(self, parts: Sequence[Rows], num_rows: int) -> NDArray[Any]:
        """The graph's input for the rows of several requests [B, ...]."""

    def extent(self, rows: Rows) -> int:
        """How many usual rows its longest row is worth."""

    def pieces(self, rows_B: NDArray[Any], cap: int) -> tuple[list[NDArray[Any]], Any]:
        """Parts worth at most `cap` usual rows each, or of one row, and the index that restores the order."""

    def metadata(self) -> dict[str, object]:
        """As in the V2 model metadata: -1 is free."""


def offer(spec: Input, name: object) -> Input:
    """What it is given under that name; under another that which it is given usually."""
    return next((one for one in spec.offered if one.name == name), spec.offered[0])
