"""Reading V2 inference requests: JSON, JSON with binary tensors, or the bare bytes of the input.

Open Inference Protocol V2 (https://github.com/open-inference/open-inference-protocol) with Triton's
binary_tensor_data and classification extensions.
"""

from __future__ import annotations

from typing import NamedTuple

from modelyard.errors import RequestError, quoted
from modelyard.serving.http.limits import HEAD_BYTES, LARGE_BYTES, Limits
from modelyard.serving.protocol.infer_head import Head, HeadReader, Wanted
from modelyard.serving.protocol.inputs import Input, Rows
from modelyard.serving.protocol.tensors import WireTensor

CACHED_HEADERS, CACHED_BYTES = 1024, 4096
"""The most heads that are kept for a model version, and the longest in bytes, so that their memory is
bounded.
"""
DATA = b'"data":'


class InferRequest(NamedTuple):
    """A request that fits the model."""

    head: Head
    rows: Rows


class RequestReader:
    """Reads requests for one model version."""

    def __init__(self, spec: Input, outputs: tuple[WireTensor, ...], limits: Limits) -> None:
        self._spec = spec
        self._num_outputs = len(outputs)
        self._limits = limits
        self._head_reader = HeadReader(spec, outputs, limits)
        self._heads: dict[bytes, Head] = {}
        self._frames: dict[tuple[bytes, bytes], Head] = {}
        """What stands before and after a flat list of values -> the head that it means."""

    def read(self, header_length: bytes | None, body: bytes) -> InferRequest:
        """Raises: RequestError (400, 413) for whatever does not fit the protocol or the model."""
        if header_length is None:
            self._limits.check_json(body)
            return self._read_json(body) if len(body) <= LARGE_BYTES else self._read_json_whole(body)
        length = int(header_length) if header_length.isdigit() and len(header_length) < 20 else -1
        if not 0 <= length <= min(len(body), HEAD_BYTES):
            limit = f"expected at most {HEAD_BYTES}, and the body has {len(body)} bytes"
            raise RequestError(f"Inference-Header-Content-Length is {quoted(header_length)}; {limit}")
        if length == 0:
            return self._read_raw(body)
        head = self._cached_head(body[:length])
        if head.binary_bytes is None:
            raise RequestError("a binary request needs parameters.binary_data_size at its input")
        if len(body) - length != head.binary_bytes:
            raise self._wrong_length(head, len(body) - length)
        return InferRequest(head, head.spec.from_binary(body[length:], head.num_rows, head.row))

    def _wrong_length(self, head: Head, received: int) -> RequestError:
        head.spec.check_size(head.num_rows, head.row, received)
        return RequestError(
            f"binary_data_size of {head.spec.name!r} is {head.binary_bytes}, received {received} bytes"
        )

    def _cached_head(self, header: bytes) -> Head:
        head = self._heads.get(header)
        if head is None:
            head, data = self._head_reader.read(header)
            if data is not None:
                raise RequestError("a binary request has no data in its JSON")
            if len(self._heads) >= CACHED_HEADERS:  # ids make every header new: never let them pile up
                self._heads.clear()
            if len(header) <= CACHED_BYTES:
                self._heads[header] = head
        return head

    def _read_json(self, body: bytes) -> InferRequest:
        """Read JSON; a head whose text was read before is not read again (measured: docs/results.md)."""
        start = body.find(b"[", body.find(DATA))
        end = body.find(b"]", start) + 1
        frame = body[:start], body[end:]
        head = self._frames.get(frame)
        if head is not None and (rows := head.spec.quickly(body[start:end], head.num_rows)) is not None:
            return InferRequest(head, rows)
        read = self._read_json_whole(body)
        again = read.head.spec.quickly(body[start:end], read.head.num_rows) if self._is_frame(frame) else None
        if again is not None and again == read.rows:
            if len(self._frames) >= CACHED_HEADERS:
                self._frames.clear()
            self._frames[frame] = read.head
        return read

    @staticmethod
    def _is_frame(frame: tuple[bytes, bytes]) -> bool:
        """Whether any other list of values in this place would be read with the same head: the name "data"
        occurs once, and not in a string.
        """
        before, after = frame
        both = before + after
        return (
            before.rstrip().endswith(DATA)
            and both.count(b'"data"') == 1
            and b"\\" not in both
            and len(both) <= CACHED_BYTES
        )

    def _read_json_whole(self, body: bytes) -> InferRequest:
        head, data = self._head_reader.read(body)
        if head.binary_bytes is not None:
            raise RequestError("binary_data_size needs the header Inference-Header-Content-Length")
        if data is None:
            raise RequestError(f"input {head.spec.name!r} has no data")
        has_booleans = b"true" in body or b"false" in body
        rows = head.spec.from_json(data, head.num_rows, head.row, has_booleans=has_booleans)
        return InferRequest(head, rows)

    def _read_raw(self, body: bytes) -> InferRequest:
        """The body is one row of the input, as in Triton."""
        spec = self._spec.offered[0]
        rows = spec.from_body(body)
        wanted = tuple(Wanted(index, True, 0) for index in range(self._num_outputs))
        return InferRequest(Head(spec, 1, (), wanted, None, None, len(body)), rows)
