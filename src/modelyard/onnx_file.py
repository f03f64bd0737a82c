"""Whether an ONNX file is all of its model. Reads protobuf's wire format: the `onnx` package is too much for a server."""

from __future__ import annotations

PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Message -> field -> message in it, of onnx.proto, as far as tensors lie below."""
EXTERNAL_DATA, DATA_LOCATION = 13, 14
"""Fields of a tensor; the location 0 is its own bytes."""
FIXED_BYTES = {1: 8, 5: 4}
"""Wire type -> length."""


def is_self_contained(content: bytes) -> bool:
    """Whether no tensor keeps its values in another file. Raises: ValueError for what is no ONNX file."""
    waiting = [("model", 0, len(content))]
    while waiting:
        message, at, end = waiting.pop()
        while at < end:
            key, start = _varint(content, at)
            field, wire = key >> 3, key & 7
            value, at = _varint(content, start) if wire in {0, 2} else (FIXED_BYTES.get(wire, 0), start)
            if wire == 2:
                start = at
            elif wire not in {0, *FIXED_BYTES}:
                raise ValueError("no ONNX file")
            at += 0 if wire == 0 else value
            if at > end:
                raise ValueError("an ONNX file that was cut off")
            if message == "tensor" and (field == EXTERNAL_DATA or (field == DATA_LOCATION and value)):
                return False
            if wire == 2 and field in PARTS[message]:
                waiting.append((PARTS[message][field], start, at))
    return True


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number, and where what follows it begins."""
    value = 0
    for shift, byte in zip(range(0, 70, 7), content[at : at + 10], strict=False):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + shift // 7 + 1
    raise ValueError("no ONNX file")
