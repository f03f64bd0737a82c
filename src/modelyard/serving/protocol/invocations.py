"""MLflow's scoring protocol: the answers of `mlflow models serve` for a tensor model, byte for byte.

https://mlflow.org/docs/latest/deployment/deploy-model-locally (protocol 2.0), checked against MLflow 3.17.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

from modelyard.errors import RequestError, quoted
from modelyard.serving.http.exchange import JSON_TYPE, Request, Response, error_response, parse_json
from modelyard.serving.http.limits import UNIT_BYTES, Limits, Turns
from modelyard.serving.models.served import Served
from modelyard.serving.protocol.inputs import Input, Rows, SchemaViolation
from modelyard.serving.protocol.uploads import Upload

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


class Given(NamedTuple):
    """What a body holds."""

    rows: Rows
    num_rows: int
    files: list[bytes] | None = None
    """From which the rows are to be read."""


async def invoke(turns: Turns, uploads: Mapping[str, Upload], served: Served, request: Request) -> Response:
    """Predictions for the rows, or files, in the body. Raises: RequestError."""
    _check_type(request)
    rows, num_rows, files = await turns.read(
        request.body, partial(read_rows, request, served.engine.input, served.limits)
    )
    if files is not None:
        request.body = b""  # its files are decoded; they may have to wait for their turns
        upload = uploads[served.manifest.form.kind]
        try:
            async with asyncio.timeout(served.timeout_s):
                rows = await upload.rows(served, map(request.with_body, files))
        except TimeoutError:
            raise RequestError(
                "the files were not read in time; send fewer", HTTPStatus.GATEWAY_TIMEOUT
            ) from None
    outputs = await served.submit(rows, num_rows)
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


def read_rows(request: Request, spec: Input, limits: Limits) -> Given:
    """The rows, or the files that they are to be read from. Raises: RequestError."""
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
    are_flat, names = found[0].startswith("dataframe"), _names(body[found[0]])
    spec = next((one for one in spec.offered if one.name in names), spec.offered[0])
    value = (_column if are_flat else _tensor)(found[0], body[found[0]], spec.name)
    rows = [value] if _is_file(value) else value
    if isinstance(rows, list) and any(map(_is_file, rows)):
        if not all(map(_is_file, rows)):
            raise RequestError(f"expected each row as {{{FILE!r}: ...}}, or none")
        return Given(None, len(rows), _files([row[FILE] for row in rows], spec, limits))
    has_booleans = b"true" in request.body or b"false" in request.body
    return Given(*spec.from_cells(value, limits.check_rows, are_flat=are_flat, has_booleans=has_booleans))


def _names(value: Any) -> Any:
    """The names of what is given, where it has some."""
    first = value[0] if isinstance(value, list) and value else value
    columns = first.get("columns") if isinstance(first, dict) else None
    return columns if isinstance(columns, list) else first if isinstance(first, dict) else ()


def _is_file(value: Any) -> bool:
    """As TensorFlow Serving has files: an object with their base64 text alone."""
    return isinstance(value, dict) and value.keys() == {FILE}


def _files(encoded: list[Any], spec: Input, limits: Limits) -> list[bytes]:
    """No more than their rows, which may be far larger than they, could have come as JSON. Raises:
    RequestError.
    """
    limits.check_rows(len(encoded))
    most = limits.max_units * UNIT_BYTES // spec.row_bytes
    if len(encoded) > max(1, most):
        raise RequestError(f"expected at most {most} files of this size, received {len(encoded)}", 413)
    return list(map(_decode, encoded))


def _decode(encoded: Any) -> bytes:
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (AttributeError, ValueError):  # no string; no base64
        raise RequestError(f"{FILE}: expected a file in base64 alone, received {quoted(encoded)}") from None


def _tensor(_field: str, value: Any, name: str) -> Any:
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
    """The cells of the input's column; each is one sample, an image as a flat list."""
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
