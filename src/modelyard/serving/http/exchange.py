"""Requests and answers as the handlers see them, independent of any HTTP library."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs

import orjson

from modelyard.errors import RequestError, quoted

JSON_TYPE = (b"content-type", b"application/json")
MAX_OBJECT_BYTES = 16 * 1024
"""The longest body of a request that carries no tensors; those have limits of their own."""
SHOWN_CHARACTERS = 20


@dataclass(slots=True, eq=False)
class Request:
    """Header names are in lower case; the body is complete, and handlers get it decompressed."""

    method: str
    path: str
    query_string: bytes
    headers: Mapping[bytes, bytes]
    body: bytes

    def with_body(self, body: bytes) -> Request:
        """Another request with the same head."""
        return Request(self.method, self.path, self.query_string, self.headers, body)

    def query(self, name: str) -> str | None:
        """The last value of a query parameter."""
        if not self.query_string:
            return None
        values = parse_qs(self.query_string.decode("latin-1")).get(name)
        return values[-1] if values else None

    def json_object(self) -> dict[str, object]:
        """The body as a JSON object; an empty body is an empty object. Raises: RequestError (400, 413)."""
        if len(self.body) > MAX_OBJECT_BYTES:
            limit = (
                f"expected a JSON object of at most {MAX_OBJECT_BYTES} bytes (no files), received "
                f"{len(self.body)}"
            )
            raise RequestError(limit, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        value = parse_json(self.body) if self.body else {}
        if not isinstance(value, dict):
            raise RequestError(f"expected a JSON object, received {type(value).__name__}")
        return value


@dataclass(slots=True, eq=False)
class Response:
    """Status, headers and body; the header content-length is added when it is written."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class WrongMethod(RequestError):
    """The path exists, but not with this method; the answer lists the methods that it takes (RFC 9110,
    15.5.6).
    """

    def __init__(self, request: Request, method: str) -> None:
        super().__init__(
            f"{request.path} takes {method}, received {request.method}", HTTPStatus.METHOD_NOT_ALLOWED
        )
        self.allow = b"GET, HEAD" if method == "GET" else method.encode()


def parse_json(text: bytes) -> object:
    """A JSON value, with or without a byte order mark; NaN and infinities are not JSON. Raises: RequestError
    (400).
    """
    try:
        return orjson.loads(text.removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError as error:
        found = error.doc[error.pos : error.pos + SHOWN_CHARACTERS]
        raise RequestError(f"the body is not JSON: {error}{found and f': {quoted(found)}'}") from None


def json_response(value: object, status: int = HTTPStatus.OK) -> Response:
    """An answer as JSON."""
    return Response(status, [JSON_TYPE], orjson.dumps(value))


def error_response(error: RequestError) -> Response:
    """`{"error": text}`; with status 503 also when to try again."""
    response = json_response({"error": str(error)}, error.status)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers.append((b"retry-after", b"1"))
    if isinstance(error, WrongMethod):
        response.headers.append((b"allow", error.allow))
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers.append((b"www-authenticate", b"Bearer"))
    return response
