"""MLflow's scoring protocol: the answers of `mlflow models serve` for a tensor model, byte for byte.

https://mlflow.org/docs/latest/deployment/deploy-model-locally (protocol 2.0), checked against MLflow 3.17.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any

from modelyard.errors import RequestError, quoted
from modelyard.serving.http.exchange import JSON_TYPE, Request, Response, error_response, parse_json
from modelyard.serving.http.limits import UNIT_BYTES, Limits, Turns
from modelyard.serving.http.upload import Pictures
from modelyard.serving.models.served import Served
from modelyard.serving.protocol.tensors import WireTensor, flatten, to_bytes

MLFLOW_VERSION = "3.17.2"
"""Of the scoring protocol spoken here; what /version answers."""
ERROR_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""Status -> MLflow's name; all others below 500 are BAD_REQUEST, above INTERNAL_ERROR."""
FILE = "b64"
FIELDS = ("dataframe_records", "dataframe_split", "inputs", "instances")


async def invoke(turns: Turns, pictures: Pictures, served: Served, request: Request) -> Response:
    """Predictions for the rows, or picture files, in the body. Raises: RequestError."""
    _check_type(request)
    manifest, spec = served.manifest, served.engine.input
    rows = await turns.read(request.body, partial(read_rows, request, spec, served.limits))
    if isinstance(rows, list):
        request.body = b""  # its files are decoded; they may have to wait for their turns
        try:
            async with asyncio.timeout(served.timeout_s):
                files = map(request.with_body, rows)
                rows = b"".join(
                    [await pictures.pixels(file, manifest.form, manifest.reading) for file in files]
                )
        except TimeoutError:
            raise RequestError(
                "the pictures were not read in time; send fewer", HTTPStatus.GATEWAY_TIMEOUT
            ) from None
    outputs = await served.submit(rows, len(rows) // spec.row_bytes)
    predictions = {
        spec.name: output.tolist() for spec, output in zip(served.engine.outputs, outputs, strict=True)
    }
    return Response(HTTPStatus.OK, [JSON_TYPE], json.dumps({"predictions": predictions}).encode())


def _check_type(request: Request) -> None:
    """Raises: UnsupportedType for what is not JSON; CSV and Parquet cannot hold image tensors."""
    content_type = request.headers.get(b"content-type", b"").decode("latin-1")
    mime_type, *parameters = [part.strip() for part in content_type.split(";")]
    values = dict(parameter.partition("=")[::2] for parameter in parameters)
    if values.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedType("The scoring server only supports UTF-8", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if mime_type != "application/json" or set(values) - {"charset"}:
        told = (
            "This predictor only supports the content type application/json here. Got "
            f"{quoted(content_type)}."
        )
        raise UnsupportedType(told, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


class UnsupportedType(RequestError):
    """MLflow tells it as plain text."""


class SchemaViolation(RequestError):
    """The data is JSON but not the model's input; MLflow has its own code for it."""


def error_answer(error: RequestError) -> Response:
    """An error in MLflow's form, with the `error` that all routes here have."""
    if isinstance(error, UnsupportedType):
        return Response(error.status, [(b"content-type", b"text/plain; charset=utf-8")], str(error).encode())
    other = "INTERNAL_ERROR" if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "BAD_REQUEST"
    code = (
        "INVALID_PARAMETER_VALUE"
        if isinstance(error, SchemaViolation)
        else ERROR_CODES.get(error.status, other)
    )
    response = error_response(error)
    response.body = json.dumps({"error_code": code, "message": str(error), "error": str(error)}).encode()
    return response


def read_rows(request: Request, spec: WireTensor, limits: Limits) -> bytes | list[bytes]:
    """The rows' bytes, or the picture files that they are to be read from. Raises: RequestError."""
    limits.check_json(request.body, has_files=b'"b64"' in request.body)
    body = parse_json(request.body)
    if not isinstance(body, dict):
        raise RequestError(
            f"The input must be a JSON dictionary with exactly one of {FIELDS}. Received "
            f"{type(body).__name__}."
        )
    found = [field for field in FIELDS if field in body]
    if len(found) != 1:
        received = quoted(", ".join(body))
        raise RequestError(
            f"The input must be a JSON dictionary with exactly one of {FIELDS}. Received {received}."
        )
    if found[0].startswith("dataframe"):
        value, row_shape = _column(found[0], body[found[0]], spec.name), [math.prod(spec.row_shape)]
    else:
        value, row_shape = _tensor(body[found[0]], spec.name), [*spec.row_shape]
    rows = [value] if _is_file(value) else value
    if isinstance(rows, list) and any(map(_is_file, rows)):
        if not all(map(_is_file, rows)):
            raise RequestError(f"expected each row as {{{FILE!r}: ...}}, or none")
        return _files([row[FILE] for row in rows], spec, limits)
    has_booleans = b"true" in request.body or b"false" in request.body
    return _rows_bytes(value, row_shape, spec, limits, has_booleans=has_booleans)


def _is_file(value: Any) -> bool:
    """As TensorFlow Serving has files: an object with their base64 text alone."""
    return isinstance(value, dict) and value.keys() == {FILE}


def _files(texts: list[Any], spec: WireTensor, limits: Limits) -> list[bytes]:
    """No more than their pixels, which may be far larger than they, could have come as JSON. Raises:
    RequestError.
    """
    limits.check_rows(len(texts))
    most = limits.max_units * UNIT_BYTES // spec.row_bytes
    if len(texts) > max(1, most):
        raise RequestError(f"expected at most {most} pictures of this size, received {len(texts)}", 413)
    return list(map(_decode, texts))


def _decode(text: Any) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (AttributeError, ValueError):  # no text; no base64
        raise RequestError(
            f"{FILE}: expected a picture file in base64 alone, received {quoted(text)}"
        ) from None


def _tensor(value: Any, name: str) -> Any:
    """The nested list of `inputs` or `instances`, where it may stand under the input's name."""
    if isinstance(value, dict):
        return _named(value, name)
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return [_named(row, name) for row in value]
    return value


def _named(row: Any, name: str) -> Any:
    if not isinstance(row, dict):
        raise SchemaViolation(f"expected an object with the key {name!r}, received {type(row).__name__}")
    if _is_file(row):
        return row
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


def _rows_bytes(
    value: Any, row_shape: list[int], spec: WireTensor, limits: Limits, *, has_booleans: bool
) -> bytes:
    rows = len(value) if isinstance(value, list) else 0
    if rows:
        limits.check_rows(rows)
    try:
        if not rows or not isinstance(value[0], list):
            raise RequestError(f"expected a list of rows of shape {row_shape}")
        flat = flatten(value, [rows, *row_shape])
    except RequestError as error:
        to_bytes(
            _innermost(value), spec, has_booleans=True
        )  # what is no tensor is another error than another shape
        raise SchemaViolation(
            f"Shape of input does not match expected shape {(-1, *spec.row_shape)}: {error}"
        ) from None
    return to_bytes(flat, spec, has_booleans=has_booleans)


def _innermost(value: Any) -> list[Any]:
    """The values of lists that are nested evenly, however deep. Raises: RequestError."""
    level = [value]
    while set(map(type, level)) == {list}:
        if len(set(map(len, level))) > 1:
            raise RequestError("Invalid input: the lists are ragged")
        level = list(chain.from_iterable(level))
    return level
