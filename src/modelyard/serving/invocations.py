"""MLflow's scoring protocol: the answers of `mlflow models serve` for a tensor model, byte for byte.

https://mlflow.org/docs/latest/deployment/deploy-model-locally (protocol 2.0), checked against MLflow 3.17.
"""

from __future__ import annotations

import json
import math
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import RequestError, quoted
from modelyard.serving.exchange import JSON_TYPE, Request, Response, error_response, parse_json
from modelyard.serving.limits import Limits, Turns
from modelyard.serving.served import Served
from modelyard.serving.tensors import TensorSpec, flatten

MLFLOW_VERSION = "3.17.2"
"""Of the scoring protocol spoken here; what /version answers."""
ERROR_CODES = {
    400: "BAD_REQUEST",
    404: "RESOURCE_DOES_NOT_EXIST",
    413: "BAD_REQUEST",
    422: "INVALID_PARAMETER_VALUE",
    503: "TEMPORARILY_UNAVAILABLE",
}
FIELDS = ("dataframe_records", "dataframe_split", "inputs", "instances")


async def invoke(turns: Turns, served: Served, request: Request) -> Response:
    """Predictions for the rows in the body. Raises: RequestError."""
    _check_type(request)
    rows, num_rows = await turns.read(request.body, partial(read_rows, request, served.engine.input, served.limits))
    outputs = await served.submit(rows, num_rows)
    predictions = {spec.name: output.tolist() for spec, output in zip(served.engine.outputs, outputs, strict=True)}
    return Response(HTTPStatus.OK, [JSON_TYPE], json.dumps({"predictions": predictions}).encode())


def _check_type(request: Request) -> None:
    """Raises: UnsupportedType for what is not JSON; CSV and Parquet cannot hold image tensors."""
    content_type = request.headers.get(b"content-type", b"").decode("latin-1")
    mime_type, *parameters = [part.strip() for part in content_type.split(";")]
    values = dict(parameter.partition("=")[::2] for parameter in parameters)
    if values.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedType("The scoring server only supports UTF-8", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if mime_type != "application/json" or set(values) - {"charset"}:
        told = f"This predictor only supports the content type application/json here. Got {quoted(content_type)}."
        raise UnsupportedType(told, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


class UnsupportedType(RequestError):
    """MLflow tells it as plain text."""


class SchemaViolation(RequestError):
    """The data is JSON but not the model's input; MLflow has its own code for it."""


def error_answer(error: RequestError) -> Response:
    """An error in MLflow's form, with the `error` that all routes here have."""
    if isinstance(error, UnsupportedType):
        return Response(error.status, [(b"content-type", b"text/plain; charset=utf-8")], str(error).encode())
    code = "INVALID_PARAMETER_VALUE" if isinstance(error, SchemaViolation) else ERROR_CODES.get(error.status, "INTERNAL_ERROR")
    response = error_response(error)
    response.body = json.dumps({"error_code": code, "message": str(error), "error": str(error)}).encode()
    return response


def read_rows(request: Request, spec: TensorSpec, limits: Limits) -> tuple[bytes, int]:
    """The rows' bytes and number. Raises: RequestError."""
    limits.check_json(request.body)
    body = parse_json(request.body)
    if not isinstance(body, dict):
        raise RequestError(f"The input must be a JSON dictionary with exactly one of {FIELDS}. Received {type(body).__name__}.")
    found = [field for field in FIELDS if field in body]
    if len(found) != 1:
        received = quoted(", ".join(body))
        raise RequestError(f"The input must be a JSON dictionary with exactly one of {FIELDS}. Received {received}.")
    if found[0].startswith("dataframe"):
        return _rows_bytes(_column(found[0], body[found[0]], spec.name), (math.prod(spec.row_shape),), spec, limits)
    return _rows_bytes(_tensor(body[found[0]], spec.name), spec.row_shape, spec, limits)


def _tensor(value: Any, name: str) -> Any:
    """The nested list of `inputs` or `instances`, where it may stand under the input's name."""
    if isinstance(value, dict):
        return _named(value, name)
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return [_named(row, name) for row in value]
    return value


def _named(row: Any, name: str) -> Any:
    if not isinstance(row, dict):
        raise RequestError(f"expected an object with the key {name!r}, received {type(row).__name__}")
    if name not in row:
        raise SchemaViolation(f"Model is missing inputs ['{name}'].")
    return row[name]


def _column(field: str, frame: Any, name: str) -> list[Any]:
    """The cells of the input's column; each is one image as a flat list."""
    if field == "dataframe_records" and isinstance(frame, list):
        return [_named(row, name) for row in frame]
    if field == "dataframe_records" or not isinstance(frame, dict) or not isinstance(frame.get("data"), list):
        raise RequestError(f"{field}: expected a list of records, or an object with 'columns' and 'data'")
    columns = frame.get("columns")
    if not isinstance(columns, list) or name not in columns:
        raise SchemaViolation(f"Model is missing inputs ['{name}'].")
    if not all(isinstance(row, list) and len(row) == len(columns) for row in frame["data"]):
        raise RequestError(f"{field}: every row of 'data' needs a value for each column")
    at = columns.index(name)
    return [row[at] for row in frame["data"]]


def _rows_bytes(value: Any, row_shape: tuple[int, ...], spec: TensorSpec, limits: Limits) -> tuple[bytes, int]:
    rows = len(value) if isinstance(value, list) else 0
    if rows:
        limits.check_rows(rows)
    try:
        if not rows or not isinstance(value[0], list):
            raise RequestError(f"expected a list of rows of shape {row_shape}")
        flat = flatten(value, [rows, *row_shape])
    except RequestError as error:
        _cast(_innermost(value), spec)  # what is no tensor at all is another error than a tensor of another shape
        raise SchemaViolation(f"Shape of input does not match expected shape {(-1, *spec.row_shape)}: {error}") from None
    try:
        return bytes(flat) if spec.datatype == "UINT8" else _cast(flat, spec).tobytes(), rows
    except (TypeError, ValueError):
        return _cast(flat, spec).tobytes(), rows


def _innermost(value: Any) -> list[Any]:
    """The values of lists that are nested evenly, however deep. Raises: RequestError."""
    level = [value]
    while set(map(type, level)) == {list}:
        if len(set(map(len, level))) > 1:
            raise RequestError("Invalid input: the lists are ragged")
        level = list(chain.from_iterable(level))
    return level


def _cast(values: list[Any], spec: TensorSpec) -> NDArray[Any]:
    """As numpy casts, which is what MLflow does: 1.5 becomes 1 in an integer tensor. Raises: RequestError."""
    if strange := set(map(type, values)) - {int, float, bool}:
        raise RequestError(f"Invalid input. {spec.name!r}: expected numbers, received {strange.pop().__name__}")
    try:
        return np.array(values, spec.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"Invalid input. {spec.name!r}: {error}") from None
