"""Requests and answers as HTTP/1.1 writes them (RFC 9110, RFC 9112)."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote

import httptools

from modelyard.errors import RequestError
from modelyard.serving.exchange import Request, Response

STATUS_LINES = {int(status): b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_date = [b""]
"""The Date header of this second, with its line end."""


def incoming(method: bytes, url: bytes, headers: Mapping[bytes, bytes], body: bytes) -> Request:
    """The request that these bytes are. Raises: RequestError (400) when the address is none."""
    if url.startswith(b"/"):
        raw_path, _, query = url.partition(b"?")
        raw_path = raw_path.partition(b"#")[0]
    else:
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            raise RequestError("not HTTP/1.1: the address is invalid") from None
        raw_path, query = parsed.path or b"/", parsed.query or b""
    path = raw_path.decode("latin-1")
    return Request(method.decode("latin-1"), unquote(path) if "%" in path else path, query, headers, body)


def outgoing(response: Response, method: str, goes_on: bool) -> bytes:
    """The whole answer, so that it leaves in one packet; `goes_on`: whether the connection does."""
    lines = [b"%b: %b\r\n" % header for header in response.headers]
    body = response.body
    if response.status != HTTPStatus.NOT_MODIFIED:
        lines.append(b"content-length: %d\r\n" % len(body))
    if not goes_on:
        lines.append(b"connection: close\r\n")
    head = b"".join([STATUS_LINES[response.status], _date[0], *lines, b"\r\n"])
    return head if method == "HEAD" else head + body


def refresh_date() -> None:
    """Take the time anew; once a second is enough."""
    _date[0] = b"date: %b\r\n" % formatdate(usegmt=True).encode()
