"""Reading V2 inference requests: JSON, JSON with binary tensors, or the bare bytes of the input.

Open Inference Protocol V2 (https://github.com/open-inference/open-inference-protocol) with Triton's
binary_tensor_data and classification extensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import orjson

from modelyard.errors import RequestError, quoted
from modelyard.serving.exchange import parse_json
from modelyard.serving.limits import HEAD_BYTES, LARGE_BYTES, Limits
from modelyard.serving.tensors import TensorSpec, pack

CACHED_HEADERS, CACHED_BYTES = 1024, 4096
"""How many, and how long they may be: nobody fills the memory with them."""
DATA = b'"data":'
MAX_AXES = 64
"""numpy's."""


class Wanted(NamedTuple):
    """One output as the client wants it."""

    output: int
    """Place among the model's outputs."""
    binary: bool
    top: int
    """With the classification extension: how many classes; else 0."""


@dataclass(frozen=True, slots=True)
class Head:
    """All of a request but its rows; the same for thousands of requests of one client."""

    num_rows: int
    wanted: tuple[Wanted, ...]
    id: str | None
    timeout_s: float | None
    binary_bytes: int | None
    """Size of the binary input; None when the rows are in the JSON."""


class InferRequest(NamedTuple):
    """A request that fits the model."""

    head: Head
    rows: bytes


class RequestReader:
    """Reads requests for one model version."""

    def __init__(self, spec: TensorSpec, outputs: tuple[TensorSpec, ...], limits: Limits) -> None:
        self._spec = spec
        self._outputs = outputs
        self._limits = limits
        self._heads: dict[bytes, Head] = {}
        self._frames: dict[tuple[bytes, bytes], Head] = {}
        """What stands before and after a flat list of pixels -> all that it says."""

    def read(self, header_length: bytes | None, body: bytes) -> InferRequest:
        """Raises: RequestError (400, 413) for whatever does not fit the protocol or the model."""
        if header_length is None:
            self._limits.check_json(body)
            return self._read_json(body) if len(body) <= LARGE_BYTES else self._read_json_whole(body)
        length = int(header_length) if header_length.isdigit() and len(header_length) < 20 else -1
        if not 0 <= length <= min(len(body), HEAD_BYTES):
            limit = f"expected at most {HEAD_BYTES}, and the body has {len(body)} bytes"
            raise RequestError(f"Inference-Header-Content-Length is {quoted(header_length)}; {limit}")
        if length == 0:
            return self._read_raw(body)
        head = self._cached_head(body[:length])
        if head.binary_bytes is None:
            raise RequestError("a binary request needs parameters.binary_data_size at its input")
        if len(body) - length != head.binary_bytes:
            raise RequestError(f"expected {head.binary_bytes} bytes after the JSON, received {len(body) - length}")
        return InferRequest(head, body[length:])

    def _cached_head(self, header: bytes) -> Head:
        head = self._heads.get(header)
        if head is None:
            head, data = self._parse(header)
            if data is not None:
                raise RequestError("a binary request has no data in its JSON")
            if len(self._heads) >= CACHED_HEADERS:  # ids make every header new: never let them pile up
                self._heads.clear()
            if len(header) <= CACHED_BYTES:
                self._heads[header] = head
        return head

    def _read_json(self, body: bytes) -> InferRequest:
        """Most requests of a client differ in their pixels only: what frames them is read once."""
        start = body.find(b"[", body.find(DATA))
        end = body.find(b"]", start) + 1
        frame = body[:start], body[end:]
        head = self._frames.get(frame)
        rows = None if head is None else self._pixels(body[start:end])
        if head is not None and rows is not None and len(rows) == head.num_rows * self._spec.row_bytes:
            return InferRequest(head, rows)
        read = self._read_json_whole(body)
        if self._is_frame(frame) and self._pixels(body[start:end]) == read.rows:
            if len(self._frames) >= CACHED_HEADERS:
                self._frames.clear()
            self._frames[frame] = read.head
        return read

    def _pixels(self, text: bytes) -> bytes | None:
        """A flat JSON list of the integers 0 to 255; None when it is anything else."""
        if self._spec.datatype != "UINT8" or b"t" in text or b"f" in text:  # true and false count as integers
            return None
        try:
            return bytes(orjson.loads(text))
        except (ValueError, TypeError):
            return None

    @staticmethod
    def _is_frame(frame: tuple[bytes, bytes]) -> bool:
        """Whether another list in its place is sure to be read alike: the name stands there once, and not in a string."""
        before, after = frame
        both = before + after
        return before.rstrip().endswith(DATA) and both.count(b'"data"') == 1 and b"\\" not in both and len(both) <= CACHED_BYTES

    def _read_json_whole(self, body: bytes) -> InferRequest:
        head, data = self._parse(body)
        if head.binary_bytes is not None:
            raise RequestError("binary_data_size needs the header Inference-Header-Content-Length")
        if data is None:
            raise RequestError(f"input {self._spec.name!r} has no data")
        if self._spec.datatype == "FP16":
            raise RequestError("FP16 has no JSON form; send the input as binary data")
        shape = [head.num_rows, *self._spec.row_shape]
        has_booleans = b"true" in body or b"false" in body
        return InferRequest(head, pack(data, self._spec, shape, has_booleans=has_booleans))

    def _read_raw(self, body: bytes) -> InferRequest:
        """The body is the input: its size tells the rows."""
        num_rows, rest = divmod(len(body), self._spec.row_bytes)
        if rest or not num_rows:
            raise RequestError(f"expected a multiple of {self._spec.row_bytes} bytes, received {len(body)}")
        self._limits.check_rows(num_rows)
        wanted = tuple(Wanted(index, True, 0) for index in range(len(self._outputs)))
        return InferRequest(Head(num_rows, wanted, None, None, len(body)), body)

    def _parse(self, header: bytes) -> tuple[Head, object]:
        """The head and the data of the only input."""
        request = _object(parse_json(header), "the request")
        parameters = _object(request.get("parameters", {}), "parameters")
        request_id = request.get("id")
        if request_id is not None and not isinstance(request_id, str):
            raise RequestError(f"id: expected a string, received {type(request_id).__name__}")
        given = _only_input(request)
        num_rows = self._match_input(given)
        head = Head(
            num_rows,
            self._wanted(request.get("outputs"), _flag(parameters, "binary_data_output")),
            request_id,
            _timeout(parameters),
            self._binary_bytes(given, num_rows),
        )
        return head, given.get("data")

    def _match_input(self, given: dict[str, object]) -> int:
        """The number of rows of an input that has the model's name, datatype and shape."""
        spec = self._spec
        if given.get("name") != spec.name:
            raise RequestError(f"unexpected input {quoted(given.get('name'))}; the model has {spec.name!r}")
        if given.get("datatype") != spec.datatype:
            received = quoted(given.get("datatype"))
            raise RequestError(f"input {spec.name!r}: expected datatype {spec.datatype}, received {received}")
        shape = given.get("shape")
        if not isinstance(shape, list) or set(map(type, shape[:MAX_AXES])) != {int}:
            raise RequestError(f"input {spec.name!r}: shape must be a list of integers")
        if len(shape) > MAX_AXES or tuple(shape[1:]) != spec.row_shape:
            raise RequestError(f"input {spec.name!r}: expected shape {[-1, *spec.row_shape]}, received {quoted(shape)}")
        self._limits.check_rows(shape[0])
        return int(shape[0])

    def _binary_bytes(self, given: dict[str, object], num_rows: int) -> int | None:
        size = _object(given.get("parameters", {}), "parameters of the input").get("binary_data_size")
        expected = num_rows * self._spec.row_bytes
        if size is not None and (type(size) is not int or size != expected):
            raise RequestError(f"binary_data_size: expected {expected} for this shape, received {quoted(size)}")
        return size

    def _wanted(self, outputs: object, binary: bool) -> tuple[Wanted, ...]:
        """What the client asks for, in its order; all outputs when it names none."""
        if outputs is None:
            return tuple(Wanted(index, binary, 0) for index in range(len(self._outputs)))
        if not isinstance(outputs, list) or not 1 <= len(outputs) <= len(self._outputs):
            raise RequestError(f"outputs must be a list of 1 to {len(self._outputs)} outputs, each once")
        wanted = tuple(self._wanted_one(_object(output, "an output"), binary) for output in outputs)
        if len({one.output for one in wanted}) != len(wanted):
            raise RequestError("an output is requested twice")
        return wanted

    def _wanted_one(self, output: dict[str, object], binary: bool) -> Wanted:
        names = [known.name for known in self._outputs]
        if output.get("name") not in names:
            raise RequestError(f"unexpected output {quoted(output.get('name'))}; the model has {', '.join(names)}")
        index = names.index(str(output["name"]))
        parameters = _object(output.get("parameters", {}), "parameters of an output")
        top = parameters.get("classification", 0)
        spec = self._outputs[index]
        if type(top) is not int or top < 0 or (top and len(spec.row_shape) != 1):
            raise RequestError(f"classification: expected a number of classes of a score vector, received {quoted(top)}")
        return Wanted(index, _flag(parameters, "binary_data", binary), min(top, *spec.row_shape) if top else 0)


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise RequestError(f"{what}: expected a JSON object, received {type(value).__name__}")
    return value


def _only_input(request: dict[str, object]) -> dict[str, object]:
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise RequestError("inputs must be a list with the model's one input")
    return _object(inputs[0], "an input")


def _flag(parameters: dict[str, object], name: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(f"{name}: expected true or false, received {quoted(value)}")
    return value


def _timeout(parameters: dict[str, object]) -> float | None:
    """Triton's `timeout` in microseconds, as seconds; 0 is none."""
    value = parameters.get("timeout", 0)
    if type(value) is not int or value < 0:
        raise RequestError(f"timeout: expected microseconds, received {quoted(value)}")
    return value / 1e6 or None
