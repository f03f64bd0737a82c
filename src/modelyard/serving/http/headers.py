"""The headers of every answer, and the status lines that they follow."""

from __future__ import annotations

from http import HTTPStatus

EVERY_ANSWER = {b"x-content-type-options": b"nosniff"}
"""Name -> value, of every answer over HTTP, refusals and those of the supervisor included."""


def status_line(status: HTTPStatus) -> bytes:
    """The start of an answer (RFC 9112, 4): the status line and the headers of every answer."""
    headers = b"".join(b"%b: %b\r\n" % header for header in EVERY_ANSWER.items())
    return b"HTTP/1.1 %d %b\r\n%b" % (status, status.phrase.encode(), headers)
