"""Tensors as the Open Inference Protocol names them, and numbers in JSON as their bytes."""

from __future__ import annotations

import math
from array import array
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import numpy as np

from modelyard.errors import BundleError, RequestError, quoted

DATATYPES = {
    "tensor(bool)": ("BOOL", np.bool_),
    "tensor(uint8)": ("UINT8", np.uint8),
    "tensor(uint16)": ("UINT16", np.uint16),
    "tensor(uint32)": ("UINT32", np.uint32),
    "tensor(uint64)": ("UINT64", np.uint64),
    "tensor(int8)": ("INT8", np.int8),
    "tensor(int16)": ("INT16", np.int16),
    "tensor(int32)": ("INT32", np.int32),
    "tensor(int64)": ("INT64", np.int64),
    "tensor(float16)": ("FP16", np.float16),
    "tensor(float)": ("FP32", np.float32),
    "tensor(double)": ("FP64", np.float64),
}
"""onnxruntime's type -> V2 datatype and numpy type."""
EXACT_INTEGERS = 2.0**53
"""Beyond it a float64 stands for several integers (IEEE 754)."""
RAW_PIXELS = (
    "; send raw pixels, normalisation is in the model; pictures go to /predict, or as "
    '{"b64": ...} to /invocations'
)
FLOATS = {2: "FP16", 4: "FP32", 8: "FP64"}
"""Bytes of a value -> the datatype that it probably is where one byte is wanted."""
NO_FIT = (TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class WireTensor:
    """One input or output of a graph, as clients send and receive it; its first axis is the batch."""

    name: str
    datatype: str
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    """Without the batch axis."""

    @classmethod
    def from_graph(cls, name: str, onnx_type: str, shape: list[int | str | None]) -> Self:
        """Raises: BundleError unless the batch axis is free and all others are fixed."""
        fixed = [extent for extent in shape[1:] if isinstance(extent, int) and extent > 0]
        if (
            onnx_type not in DATATYPES
            or not shape
            or isinstance(shape[0], int)
            or len(fixed) != len(shape) - 1
        ):
            raise BundleError(
                f"tensor {name!r} is {onnx_type} {shape}; expected numbers with only the batch axis free"
            )
        datatype, scalar = DATATYPES[onnx_type]
        return cls(name, datatype, np.dtype(scalar), tuple(fixed))

    @property
    def row_bytes(self) -> int:
        return math.prod(self.row_shape) * self.dtype.itemsize

    @property
    def config_type(self) -> str:
        """In Triton's model configuration."""
        return f"TYPE_{self.datatype}"

    def wrong_value(self, value: object) -> RequestError:
        """For what cannot stand in this tensor."""
        limits = np.iinfo(self.dtype) if self.dtype.kind in "iu" else None
        wanted = f"integers {limits.min} to {limits.max}" if limits else f"{self.datatype} values in range"
        return RequestError(f"{self.name}: expected {wanted}, received {quoted(value)}{self.remedy}")

    def wrong_size(self, num_rows: int, received: int) -> RequestError:
        """For the bytes of a tensor that has others; floats where pixels belong are told."""
        expected = num_rows * self.row_bytes
        told = (
            f"{self.name}: expected {expected} bytes for shape {[num_rows, *self.row_shape]}, "
            f"received {received}"
        )
        times, rest = divmod(received, expected)
        if rest or times not in FLOATS or self.datatype != "UINT8":
            return RequestError(told)
        return RequestError(
            f"{told}; this looks like {FLOATS[times]} data (or {times * num_rows} rows){RAW_PIXELS}"
        )

    @property
    def remedy(self) -> str:
        """What to send instead of other values or another datatype."""
        return RAW_PIXELS if self.datatype == "UINT8" else ""

    def metadata(self) -> dict[str, object]:
        """As in the V2 model metadata: -1 is the batch."""
        return {"name": self.name, "datatype": self.datatype, "shape": [-1, *self.row_shape]}


def to_bytes(flat: list[Any], spec: WireTensor, *, has_booleans: bool) -> bytes:
    """The bytes of numbers in JSON; without `has_booleans` there is none among them.

    Raises: RequestError that names the first of another kind or out of the datatype's range.
    """
    try:
        return _convert(flat, spec.dtype, has_booleans)
    except NO_FIT:
        pass
    while len(flat) > 1:  # which one it is, at the speed of what is sound
        half = flat[: len(flat) // 2]
        try:
            _convert(half, spec.dtype, has_booleans)
            flat = flat[len(half) :]
        except NO_FIT:
            flat = half
    raise spec.wrong_value(flat[0] if flat else flat)


def flatten(data: object, shape: list[int]) -> list[Any]:
    """The values of a flat list, or of lists nested exactly as `shape`. Raises: RequestError."""
    if not isinstance(data, list):
        raise RequestError(f"data: expected a list of numbers, received {type(data).__name__}")
    if not data or type(data[0]) is not list:
        if len(data) != math.prod(shape):
            raise RequestError(f"data has {len(data)} values, shape {shape} needs {math.prod(shape)}")
        return data
    if len(data) != shape[0]:
        raise RequestError(f"data has {len(data)} rows, shape {shape} needs {shape[0]}")
    level = data
    try:
        for extent in shape[1:]:
            if set(map(len, level)) != {extent}:
                raise RequestError(f"data is ragged or not nested as shape {shape} says")
            level = list(chain.from_iterable(level))
    except TypeError:  # a number where a list should be; strings and objects fail when they become numbers
        raise RequestError(f"data is not nested as shape {shape} says") from None
    return level


def _convert(flat: list[Any], dtype: np.dtype[Any], has_booleans: bool) -> bytes:
    """Raises: TypeError, ValueError or OverflowError unless every value has the kind and range of `dtype`.

    JSON has one kind of number and some clients write all of them as 3.0: that is an integer, 3.5 is none.
    `array` takes nothing but numbers; numpy would give every value the room of the longest text among them.
    """
    if has_booleans and dtype.kind != "b" and bool in set(map(type, flat)):
        raise TypeError
    if dtype == np.uint8:
        with suppress(TypeError):  # the quick way takes only what Python calls an int
            return bytes(flat)
    if dtype.kind == "b":
        if set(map(type, flat)) != {bool}:
            raise TypeError
        return bytes(flat)
    try:
        packed = array(dtype.char, flat)
    except TypeError:  # an integer's array takes no floats
        found = np.frombuffer(array("d", flat))
        is_whole = (np.abs(found) <= EXACT_INTEGERS).all() and (found == np.trunc(found)).all()
        if dtype.kind == "f" or not is_whole:
            raise ValueError from None
        if found.min() < np.iinfo(dtype).min or found.max() > np.iinfo(dtype).max:
            raise ValueError from None
        return found.astype(dtype).tobytes()
    if dtype.kind == "f" and not np.isfinite(np.frombuffer(packed, dtype)).all():
        raise ValueError
    return packed.tobytes()
