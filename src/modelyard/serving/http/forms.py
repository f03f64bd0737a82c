"""A file as a request sends it: as its body, or in a form (RFC 7578)."""

from __future__ import annotations

from modelyard.errors import RequestError
from modelyard.serving.http.exchange import Request

MAX_PARTS, MAX_BOUNDARY = 100, 70
"""The most parts of a form, and the longest boundary between them (RFC 2046, 5.1.1)."""


def sent_file(request: Request, example: str) -> bytes:
    """The body, or the first file of a multipart form. Raises: RequestError (400) that tells the example."""
    content_type = request.headers.get(b"content-type", b"")
    if not content_type.lower().startswith(b"multipart/form-data"):
        return request.body
    _, _, boundary = content_type.partition(b"boundary=")
    boundary = boundary.split(b";")[0].strip().strip(b'"')
    for part in (
        request.body.split(b"--" + boundary, MAX_PARTS)[1:MAX_PARTS]
        if 0 < len(boundary) <= MAX_BOUNDARY
        else []
    ):
        head, separator, content = part.partition(b"\r\n\r\n")
        if separator and b"filename=" in head.lower():
            return content.removesuffix(b"\r\n")
    raise RequestError(f"the form has no file; try: {example}")
