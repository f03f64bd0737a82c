"""Writing V2 inference answers: JSON, binary tensors, or the best classes with their names."""

from __future__ import annotations

import struct
from http import HTTPStatus
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from modelyard.errors import RequestError
from modelyard.serving.http.exchange import JSON_TYPE, Response
from modelyard.serving.protocol.infer_head import Head, Wanted
from modelyard.serving.protocol.tensors import WireTensor

OCTET_TYPE = (b"content-type", b"application/octet-stream")
CACHED_HEADERS = 256
MARK = "the numbers go here"


class ResponseWriter:
    """Writes answers of one model version."""

    def __init__(
        self, name: str, version: str, outputs: tuple[WireTensor, ...], classes: tuple[str, ...]
    ) -> None:
        self._name = name
        self._version = version
        self._outputs = outputs
        self._classes = classes
        self._headers: dict[tuple[int, tuple[Wanted, ...]], tuple[bytes, list[tuple[bytes, bytes]]]] = {}
        self._frames: dict[tuple[int, tuple[Wanted, ...]], list[bytes]] = {}

    def write(self, head: Head, outputs: list[NDArray[Any]]) -> Response:
        """Raises: RequestError (500) when JSON cannot carry the values."""
        if head.id is None and all(wanted.binary and not wanted.top for wanted in head.wanted):
            return self._write_binary(head, outputs)
        if head.id is None and not any(wanted.binary or wanted.top for wanted in head.wanted):
            return self._write_numbers(head, outputs)
        buffers: list[bytes] = []
        header = self._header(head, [self._tensor(wanted, outputs, buffers) for wanted in head.wanted])
        if not any(wanted.binary for wanted in head.wanted):
            return Response(HTTPStatus.OK, [JSON_TYPE], header)
        length = (b"inference-header-content-length", b"%d" % len(header))
        return Response(HTTPStatus.OK, [OCTET_TYPE, length], header + b"".join(buffers))

    def _write_binary(self, head: Head, outputs: list[NDArray[Any]]) -> Response:
        """All outputs binary: their JSON depends on the shape alone and is kept."""
        key = (head.num_rows, head.wanted)
        known = self._headers.get(key)
        if known is None:
            header = self._header(head, [self._tensor(wanted, outputs, []) for wanted in head.wanted])
            known = header, [OCTET_TYPE, (b"inference-header-content-length", b"%d" % len(header))]
            if len(self._headers) >= CACHED_HEADERS:
                self._headers.clear()
            self._headers[key] = known
        header, fields = known
        return Response(
            HTTPStatus.OK, [*fields], header + b"".join([outputs[at].tobytes() for at, _, _ in head.wanted])
        )

    def _write_numbers(self, head: Head, outputs: list[NDArray[Any]]) -> Response:
        """All outputs as JSON numbers: the text around the numbers depends on the shape alone and is kept."""
        key = (head.num_rows, head.wanted)
        known = self._frames.get(key)
        if known is None:
            whole = self._header(
                head, [self._tensor(wanted, outputs, []) | {"data": [MARK]} for wanted in head.wanted]
            )
            if len(self._frames) >= CACHED_HEADERS:
                self._frames.clear()
            known = self._frames[key] = whole.split(orjson.dumps([MARK]))
        parts = [known[0]]
        for wanted, after in zip(head.wanted, known[1:], strict=True):
            numbers = orjson.dumps(
                np.ascontiguousarray(outputs[wanted.output]).reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY
            )
            if b"n" in numbers:  # null stands for what is no number; false has none
                self._tensor(wanted, outputs, [])
            parts += (numbers, after)
        return Response(HTTPStatus.OK, [JSON_TYPE], b"".join(parts))

    def _header(self, head: Head, tensors: list[dict[str, object]]) -> bytes:
        told: dict[str, object] = {"model_name": self._name, "model_version": self._version}
        if head.id is not None:
            told["id"] = head.id
        return orjson.dumps(told | {"outputs": tensors}, option=orjson.OPT_SERIALIZE_NUMPY)

    def _tensor(self, wanted: Wanted, outputs: list[NDArray[Any]], buffers: list[bytes]) -> dict[str, object]:
        """One output's entry in the JSON; its bytes go to `buffers` when it is binary."""
        spec, values = self._outputs[wanted.output], outputs[wanted.output]
        if wanted.top:
            return _classification(spec.name, self._best(values, wanted.top), wanted, buffers)
        entry: dict[str, object] = {"name": spec.name, "datatype": spec.datatype, "shape": list(values.shape)}
        if wanted.binary:
            buffers.append(values.tobytes())
            return entry | {"parameters": {"binary_data_size": values.nbytes}}
        if spec.datatype == "FP16":
            raise RequestError(f"output {spec.name!r} is FP16, which has no JSON form; ask for binary_data")
        if spec.dtype.kind == "f" and not np.isfinite(values).all():
            raise RequestError(
                f"output {spec.name!r} has a value JSON cannot carry (NaN or infinity); ask for binary_data",
                HTTPStatus.INTERNAL_SERVER_ERROR,
            )
        return entry | {"data": np.ascontiguousarray(values).reshape(-1)}

    def _best(self, scores_BK: NDArray[Any], top: int) -> list[list[str]]:
        """For each row the best `top` as `score:index:name`."""
        order_BK = np.argsort(-scores_BK, axis=1, kind="stable")[:, :top]
        return [
            [f"{row_K[index]:f}:{index}:{self._class_name(int(index))}" for index in best]
            for row_K, best in zip(scores_BK, order_BK, strict=True)
        ]

    def _class_name(self, index: int) -> str:
        return self._classes[index] if index < len(self._classes) else ""


def _classification(
    name: str, best: list[list[str]], wanted: Wanted, buffers: list[bytes]
) -> dict[str, object]:
    entry: dict[str, object] = {"name": name, "datatype": "BYTES", "shape": [len(best), wanted.top]}
    flat = [text for row in best for text in row]
    if not wanted.binary:
        return entry | {"data": flat}
    packed = b"".join([struct.pack("<I", len(text.encode())) + text.encode() for text in flat])
    buffers.append(packed)
    return entry | {"parameters": {"binary_data_size": len(packed)}}
