"""A request and its answer without an HTTP library: what the handlers see."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qs

import orjson

from modelyard.errors import RequestError

Headers = list[tuple[bytes, bytes]]
JSON_TYPE = (b"content-type", b"application/json")
MAX_OBJECT_BYTES = 16 * 1024
"""Of an order; tensors have limits of their own."""


class Request:
    """Method, path, query, headers (lower-case names) and the whole, uncompressed body."""

    __slots__ = ("body", "headers", "method", "path", "query_string")

    def __init__(self, method: str, path: str, query_string: bytes, headers: Mapping[bytes, bytes], body: bytes) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.body = body

    def query(self, name: str) -> str | None:
        """The last value of a query parameter."""
        if not self.query_string:
            return None
        values = parse_qs(self.query_string.decode("latin-1")).get(name)
        return values[-1] if values else None

    def json_object(self) -> dict[str, object]:
        """The body as a JSON object; an empty body is an empty object. Raises: RequestError (400, 413)."""
        if len(self.body) > MAX_OBJECT_BYTES:
            limit = f"expected a JSON object of at most {MAX_OBJECT_BYTES} bytes, received {len(self.body)}"
            raise RequestError(limit, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        value = parse_json(self.body) if self.body else {}
        if not isinstance(value, dict):
            raise RequestError(f"expected a JSON object, received {type(value).__name__}")
        return value


class Response:
    """Status, headers without the content length, and the body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class WrongMethod(RequestError):
    """The path is right, the method is not; the answer lists those that are (RFC 9110, 15.5.6)."""

    def __init__(self, request: Request, method: str) -> None:
        super().__init__(f"{request.path} takes {method}, received {request.method}", HTTPStatus.METHOD_NOT_ALLOWED)
        self.allow = b"GET, HEAD" if method == "GET" else method.encode()


def parse_json(text: bytes) -> object:
    """A JSON value; NaN and infinities are no JSON. Raises: RequestError (400)."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not JSON: {error}") from None


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
