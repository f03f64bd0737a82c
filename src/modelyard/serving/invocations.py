"""MLflow's scoring protocol: the answers of `mlflow models serve` for a tensor model, byte for byte.

https://mlflow.org/docs/latest/deployment/deploy-model-locally (protocol 2.0), checked against MLflow 3.17.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import RequestError
from modelyard.serving.exchange import JSON_TYPE, Request, Response, parse_json
from modelyard.serving.served import Served
from modelyard.serving.tensors import TensorSpec, flatten

MLFLOW_VERSION = "3.17.2"
"""Of the scoring protocol spoken here; what /version answers."""
ERROR_CODES = {
    400: "BAD_REQUEST",
    404: "RESOURCE_DOES_NOT_EXIST",
    422: "INVALID_PARAMETER_VALUE",
    503: "TEMPORARILY_UNAVAILABLE",
}
FIELDS = ("dataframe_records", "dataframe_split", "inputs", "instances")


async def invoke(served: Served, request: Request) -> Response:
    """Predictions for the rows in the body. Raises: RequestError."""
    rows, num_rows = read_rows(request, served.engine.input)
    outputs = await served.submit(rows, num_rows)
    predictions = {spec.name: output.tolist() for spec, output in zip(served.engine.outputs, outputs, strict=True)}
    return Response(HTTPStatus.OK, [JSON_TYPE], json.dumps({"predictions": predictions}).encode())


def unsupported_type(request: Request) -> Response | None:
    """MLflow's 415 for what is not JSON; None when it is. CSV and Parquet cannot hold image tensors."""
    content_type = request.headers.get(b"content-type", b"").decode("latin-1")
    mime_type, *parameters = [part.strip() for part in content_type.split(";")]
    values = dict(parameter.partition("=")[::2] for parameter in parameters)
    if values.get("charset", "utf-8").lower() != "utf-8":
        return _plain("The scoring server only supports UTF-8")
    if mime_type != "application/json" or set(values) - {"charset"}:
        return _plain(f"This predictor only supports the content type application/json here. Got '{content_type}'.")
    return None


def _plain(text: str) -> Response:
    return Response(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, [(b"content-type", b"text/plain; charset=utf-8")], text.encode())


def error_answer(error: RequestError) -> Response:
    """An error in MLflow's form, with the `error` that all routes here have."""
    body = {"error_code": ERROR_CODES.get(error.status, "INTERNAL_ERROR"), "message": str(error), "error": str(error)}
    status = HTTPStatus.BAD_REQUEST if error.status == HTTPStatus.UNPROCESSABLE_ENTITY else error.status
    return Response(status, [JSON_TYPE], json.dumps(body).encode())


def read_rows(request: Request, spec: TensorSpec) -> tuple[bytes, int]:
    """The rows' bytes and number. Raises: RequestError (400; 422 where MLflow calls it a schema violation)."""
    body = parse_json(request.body)
    if not isinstance(body, dict):
        raise RequestError(f"The input must be a JSON dictionary with exactly one of {FIELDS}. Received {type(body).__name__}.")
    found = [field for field in FIELDS if field in body]
    if len(found) != 1:
        raise RequestError(f"The input must be a JSON dictionary with exactly one of {FIELDS}. Received {list(body)}.")
    return _rows_bytes(_tensor(found[0], body[found[0]], spec.name), spec)


def _tensor(field: str, value: Any, name: str) -> Any:
    """The nested list of the model's input in any of the four forms."""
    if field == "inputs":
        return _named(value, name) if isinstance(value, dict) else value
    if field == "dataframe_split":
        return _column(value, name)
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return [_named(row, name) for row in value]
    return value


def _named(row: dict[str, Any], name: str) -> Any:
    if name not in row:
        raise RequestError(f"Model is missing inputs ['{name}'].", HTTPStatus.UNPROCESSABLE_ENTITY)
    return row[name]


def _column(frame: Any, name: str) -> list[Any]:
    if not isinstance(frame, dict) or not isinstance(frame.get("data"), list):
        raise RequestError("Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields.")
    columns = frame.get("columns")
    if not isinstance(columns, list) or name not in columns:
        raise RequestError(f"Model is missing inputs ['{name}'].", HTTPStatus.UNPROCESSABLE_ENTITY)
    at = columns.index(name)
    if not all(isinstance(row, list) and len(row) == len(columns) for row in frame["data"]):
        raise RequestError("dataframe_split: every row of 'data' needs a value for each column")
    return [row[at] for row in frame["data"]]


def _rows_bytes(value: Any, spec: TensorSpec) -> tuple[bytes, int]:
    if not isinstance(value, list) or not value:
        raise RequestError(f"input {spec.name!r}: expected a list of rows", HTTPStatus.UNPROCESSABLE_ENTITY)
    shape = [len(value), *spec.row_shape]
    if not isinstance(value[0], list):
        raise RequestError(f"Shape of input ({len(value)},) does not match expected shape.", HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        flat = flatten(value, shape)
    except RequestError as error:
        raise RequestError(str(error), HTTPStatus.UNPROCESSABLE_ENTITY) from None
    return _as_bytes(flat, spec), len(value)


def _as_bytes(flat: list[Any], spec: TensorSpec) -> bytes:
    """As numpy casts them, which is what MLflow does: 1.5 becomes 1 in an integer tensor."""
    try:
        if spec.datatype == "UINT8":
            return bytes(flat)
    except (TypeError, ValueError):
        pass
    try:
        values: NDArray[Any] = np.array(flat, spec.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"input {spec.name!r}: {error}") from None
    return values.tobytes()
