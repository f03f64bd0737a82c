"""The web page: static files beside this module, read once."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

from modelyard.errors import RequestError
from modelyard.serving.http.exchange import Request, Response

FOLDER = Path(__file__).parent
OPENAPI = FOLDER / "openapi.json"
TYPES = {
    ".html": b"text/html; charset=utf-8", ".css": b"text/css; charset=utf-8", ".js": b"text/javascript; "
b"charset=utf-8",
    ".json": b"application/json", ".svg": b"image/svg+xml", ".png": b"image/png", ".ico": b"image/x-icon",
}  # fmt: skip
SAFETY = [
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]


def page_file(request: Request) -> Response:
    """`/`, `/assets/<file>`, `/favicon.ico` or `/openapi.json`. Raises: RequestError (404)."""
    path = _locate(request.path)
    if path is None or not path.is_file():
        raise RequestError(f"nothing at {request.path}", HTTPStatus.NOT_FOUND)
    content, etag = _read(path)
    headers = [
        *SAFETY,
        (b"content-type", TYPES.get(path.suffix, b"application/octet-stream")),
        (b"etag", etag),
    ]
    if etag in request.headers.get(
        b"if-none-match", b""
    ):  # of several, or weak (W/), as nginx makes it where it packs
        return Response(HTTPStatus.NOT_MODIFIED, headers, b"")
    return Response(HTTPStatus.OK, headers, content)


def _locate(path: str) -> Path | None:
    """Only plain names directly in the folder."""
    if path == "/openapi.json":
        return OPENAPI
    name = {"/": "index.html", "/favicon.ico": "icon.svg"}.get(path) or path.removeprefix("/assets/")
    return next((file for file in FOLDER.iterdir() if file.name == name), None)


@lru_cache(64)
def _read(path: Path) -> tuple[bytes, bytes]:
    content = path.read_bytes()
    return content, b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()
