"""A request and its answer without an HTTP library: what the handlers see."""

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
"""Of an order; tensors have limits of their own."""
SHOWN_CHARACTERS = 20


@dataclass(slots=True, eq=False)
class Request:
    """Headers have lower-case names; the body is whole, and plain for handlers."""

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
    """An answer; its length is no header yet."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class WrongMethod(RequestError):
    """The path is right, the method is not; the answer lists those that are (RFC 9110, 15.5.6)."""

    def __init__(self, request: Request, method: str) -> None:
        super().__init__(
            f"{request.path} takes {method}, received {request.method}", HTTPStatus.METHOD_NOT_ALLOWED
        )
        self.allow = b"GET, HEAD" if method == "GET" else method.encode()


def parse_json(text: bytes) -> object:
    """A JSON value, after a byte order mark too; NaN and infinities are no JSON. Raises:
    RequestError (400).
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
    """`{"error": text}`; a server that is too busy also says when to come back."""
    response = json_response({"error": str(error)}, error.status)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers.append((b"retry-after", b"1"))
    if isinstance(error, WrongMethod):
        response.headers.append((b"allow", error.allow))
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers.append((b"www-authenticate", b"Bearer"))
    return response
