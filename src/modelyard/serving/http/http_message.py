"""HTTP/1.1 messages: the head of a request, the bytes of an answer (RFC 9110, RFC 9112)."""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote

import httptools

from modelyard.errors import RequestError
from modelyard.serving.http.exchange import Request, Response
from modelyard.serving.http.headers import status_line

STATUS_LINES = {int(status): status_line(status) for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD_END = b"\r\n\r\n"
KNOWN_HEADS, KNOWN_HEAD_BYTES = 1024, 2048
"""The most heads that are kept, and the longest in bytes."""
NO_HEAD = Request("", "", b"", {}, b"")
"""Stands for a request that is refused before its head is complete."""
UNKNOWN = (NO_HEAD, -1)
_date = [b""]
"""The Date header of this second, with its line end."""


def incoming(method: bytes, url: bytes, headers: dict[bytes, bytes], version: str) -> Request:
    """The request with this head, without its body. Raises: RequestError (400, 417, 501) when the head is
    invalid or asks for what is not supported.
    """
    if b"host" not in headers and version not in {"0.9", "1.0"}:
        raise RequestError("not HTTP/1.1: the header Host is missing")
    if url.startswith(b"/"):
        raw_path, _, query = url.partition(b"?")
        raw_path = raw_path.partition(b"#")[0]
    else:
        raw_path, query = _absolute(url, headers)
    if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        raise RequestError("transfer-encoding: expected chunked or none", HTTPStatus.NOT_IMPLEMENTED)
    if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise RequestError("expect: expected 100-continue or none", HTTPStatus.EXPECTATION_FAILED)
    path = raw_path.decode("latin-1")
    if "%" in path:  # a slash that was written so parts no path
        path = "%2F".join(map(unquote, re.split("%2[fF]", path)))
    return Request(method.decode("latin-1"), path, query, headers, b"")


def _absolute(url: bytes, headers: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """Path and query of a whole address, whose host must be the header's. Raises: RequestError (400)."""
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        raise RequestError("not HTTP/1.1: the address is invalid") from None
    host = re.split(rb"[/?#]", url.partition(b"://")[2], maxsplit=1)[0]
    if host and headers.setdefault(b"host", host).lower() != host.lower():
        raise RequestError("the address and the header Host name different hosts")
    return parsed.path or b"/", parsed.query or b""


def outgoing(response: Response, method: str, goes_on: bool) -> bytes:
    """The bytes of the whole answer, written at once so that they leave in one packet; `goes_on`: whether the
    connection stays open.
    """
    lines = [b"%b: %b\r\n" % header for header in response.headers]
    body = response.body
    if response.status not in {HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT}:
        lines.append(b"content-length: %d\r\n" % len(body))
    if not goes_on:
        lines.append(b"connection: close\r\n")
    head = b"".join([STATUS_LINES[response.status], _date[0], *lines, b"\r\n"])
    return head if method == "HEAD" else head + body


def refresh_date() -> None:
    """Set the Date header to the present; once a second is enough."""
    _date[0] = b"date: %b\r\n" % formatdate(usegmt=True).encode()


class KnownHeads:
    """Heads of requests that were accepted before, on any connection of a worker, so that equal bytes need
    not be parsed again (measured: docs/results.md).
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, tuple[Request, int]] = {}
        """Head -> the request without its body, and the length of the body in bytes."""

    def read(self, data: bytes) -> Request | None:
        """The request, if `data` is exactly one whole request and its head is known."""
        end = data.find(HEAD_END) + len(HEAD_END)
        asked, num_bytes = self._heads.get(data[:end], UNKNOWN)
        if len(data) - end != num_bytes:
            return None
        return asked.with_body(data[end:])

    def remember(self, data: bytes, request: Request) -> None:
        """Keep the head of a request, if `data` was exactly that request."""
        end = data.find(HEAD_END) + len(HEAD_END)
        length = request.headers.get(b"content-length", b"0")
        if end > KNOWN_HEAD_BYTES or b"expect" in request.headers or int(length) != len(data) - end:
            return
        if len(self._heads) >= KNOWN_HEADS:
            self._heads.clear()
        self._heads[data[:end]] = request.with_body(b""), len(data) - end
