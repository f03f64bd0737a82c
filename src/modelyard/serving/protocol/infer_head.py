"""Reading the head of a V2 inference request: all but the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from modelyard.errors import RequestError, quoted
from modelyard.serving.http.exchange import parse_json
from modelyard.serving.http.limits import Limits
from modelyard.serving.protocol.inputs import Input, offer
from modelyard.serving.protocol.tensors import WireTensor

MAX_AXES = 64
"""The most axes of a shape: numpy's limit."""
NO_SHARED_MEMORY = (
    "shared memory is not supported (GET /v2 lists the extensions); send and read tensors in the bodies"
)


class Wanted(NamedTuple):
    """One output as the client wants it."""

    output: int
    """Place among the model's outputs."""
    binary: bool
    top: int
    """With the classification extension: how many classes; else 0."""


@dataclass(frozen=True, slots=True)
class Head:
    """All of a request but its rows; often equal for thousands of requests of one client."""

    spec: Input
    """What of the model is given."""
    num_rows: int
    row: tuple[int, ...]
    """The shape of one row, as the client says it."""
    wanted: tuple[Wanted, ...]
    id: str | None
    timeout_s: float | None
    binary_bytes: int | None
    """Size of the binary input; None when the rows are in the JSON."""


class HeadReader:
    """Reads heads for one model version."""

    def __init__(self, spec: Input, outputs: tuple[WireTensor, ...], limits: Limits) -> None:
        self._spec = spec
        self._outputs = outputs
        self._limits = limits

    def read(self, header: bytes) -> tuple[Head, object]:
        """The head and the data of the only input. Raises: RequestError (400)."""
        request = _object(parse_json(header), "the request")
        parameters = parameters_of(request, "the request")
        request_id = request.get("id")
        if request_id is not None and not isinstance(request_id, str):
            raise RequestError(f"id: expected a string, received {type(request_id).__name__}")
        given = _only_input(request)
        spec = offer(self._spec, given.get("name"))
        num_rows, *row = self._match_input(spec, given)
        head = Head(
            spec,
            num_rows,
            tuple(row),
            self._wanted(request.get("outputs"), _flag(parameters, "binary_data_output")),
            request_id,
            _timeout(parameters),
            self._binary_bytes(spec, given, num_rows, tuple(row)),
        )
        return head, given.get("data")

    def _match_input(self, spec: Input, given: dict[str, object]) -> list[int]:
        """The shape of an input that has the model's name, datatype and shape."""
        if given.get("name") != spec.name:
            names = " or ".join(repr(one.name) for one in self._spec.offered)
            raise RequestError(f"unexpected input {quoted(given.get('name'))}; the model has {names}")
        if given.get("datatype") != spec.datatype:
            received = quoted(given.get("datatype"))
            raise RequestError(
                f"input {spec.name!r}: expected datatype {spec.datatype}, received {received}{spec.remedy}"
            )
        shape = given.get("shape")
        if (
            not isinstance(shape, list)
            or not shape
            or set(map(type, shape[:MAX_AXES])) - {int, float}
            or shape[0] % 1
        ):
            raise RequestError(f"input {spec.name!r}: shape must be a list of integers")
        if len(shape) > MAX_AXES or not spec.takes(tuple(shape[1:])):
            raise RequestError(
                f"input {spec.name!r}: expected shape {[-1, *spec.row_shape]}, received {quoted(shape)}"
            )
        self._limits.check_rows(shape[0])
        return [int(extent) for extent in shape]

    def _binary_bytes(
        self, spec: Input, given: dict[str, object], num_rows: int, row: tuple[int, ...]
    ) -> int | None:
        size = parameters_of(given, "the input").get("binary_data_size")
        if size is not None and type(size) is not int:
            raise RequestError(f"binary_data_size: expected a number of bytes, received {quoted(size)}")
        if size is not None:
            spec.check_size(num_rows, row, size)
        return size

    def _wanted(self, outputs: object, binary: bool) -> tuple[Wanted, ...]:
        """The outputs that the client asks for, in its order; all of them when it names none."""
        if outputs is None or outputs == []:
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
            raise RequestError(
                f"unexpected output {quoted(output.get('name'))}; the model has {', '.join(names)}"
            )
        index = names.index(str(output["name"]))
        parameters = parameters_of(output, "an output")
        top = parameters.get("classification", 0)
        spec = self._outputs[index]
        if type(top) is not int or top < 0 or (top and len(spec.row_shape) != 1):
            raise RequestError(
                f"classification: expected a number of classes of a score vector, received {quoted(top)}"
            )
        return Wanted(
            index, _flag(parameters, "binary_data", binary), min(top, *spec.row_shape) if top else 0
        )


def parameters_of(owner: dict[str, object], what: str) -> dict[str, object]:
    """The parameters of a request, an input or an output; null means none. Raises: RequestError (400) for
    shared memory, and for values other than strings, numbers and booleans.
    """
    given = owner.get("parameters")
    parameters = {} if given is None else _object(given, f"parameters of {what}")
    for name, value in parameters.items():
        if name.startswith("shared_memory"):
            raise RequestError(f"parameter {quoted(name)} of {what}: {NO_SHARED_MEMORY}")
        if type(value) not in (str, int, float, bool):
            raise RequestError(
                f"parameter {quoted(name)}: expected a string, number or boolean, received {quoted(value)}"
            )
    return parameters


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
