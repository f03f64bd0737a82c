"""JSON numbers as bytes: what is an integer, and what is none."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from modelyard.errors import RequestError, quoted
from modelyard.serving.protocol.tensors import DATATYPES, WireTensor, flatten, to_bytes

DTYPES = dict(DATATYPES.values())


def packed(datatype: str, values: list[Any]) -> bytes:
    spec = WireTensor("images", datatype, np.dtype(DTYPES[datatype]), (len(values),))
    return to_bytes(flatten(values, [1, len(values)]), spec, has_booleans=False)


@pytest.mark.parametrize("datatype", ["UINT8", "INT8", "UINT16", "INT32", "INT64", "UINT64"])
def test_whole_floats_are_the_integers_they_stand_for(datatype: str) -> None:
    expected = np.array([0, 3, 127], DTYPES[datatype]).tobytes()
    assert (
        packed(datatype, [0, 3, 127])
        == packed(datatype, [0.0, 3.0, 127.0])
        == packed(datatype, [0, 3.0, 127])
        == expected
    )


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("UINT8", 3.5),
        ("UINT8", 256.0),
        ("UINT8", -1.0),
        ("UINT8", 256),
        ("INT8", 128.0),
        ("INT64", 2.0**63),
        ("UINT64", 1e300),
        ("INT64", 2.0**53 + 2),
        ("INT32", float("nan")),
        ("INT32", float("inf")),
        ("UINT8", "3"),
        ("UINT8", None),
    ],
)
def test_what_an_integer_tensor_cannot_hold_is_refused(datatype: str, value: object) -> None:
    limits = np.iinfo(DTYPES[datatype])
    told = re.escape(f"images: expected integers {limits.min} to {limits.max}, received {quoted(value)}")
    for at in (0, 1, 6):
        with pytest.raises(RequestError, match=told):
            packed(datatype, [0] * at + [value] + [0] * (6 - at))


@pytest.mark.parametrize("datatype", ["UINT8", "INT32", "FP32"])
def test_lists_nested_deeper_than_the_shape_are_refused(datatype: str) -> None:
    with pytest.raises(RequestError, match=r"images: expected .*, received \[1\]"):
        spec = WireTensor("images", datatype, np.dtype(DTYPES[datatype]), (2,))
        to_bytes(flatten([[[1], [2]]], [1, 2]), spec, has_booleans=False)


@pytest.mark.parametrize("datatype", ["UINT8", "INT32", "UINT64", "FP32", "BOOL"])
@pytest.mark.parametrize("value", ["9" * 10_000_000, None, {}, [1]], ids=["text", "null", "object", "list"])
def test_one_value_that_is_no_number_costs_no_more_than_its_own_room(datatype: str, value: object) -> None:
    """H3: numpy gives each value the room of the longest text, here 4 TB in all."""
    told = quoted(value)
    with pytest.raises(RequestError, match=f"expected .*, received {re.escape(told)}") as refused:
        packed(datatype, [datatype == "BOOL"] * 99_999 + [value])
    assert len(str(refused.value)) < 300


def test_all_kinds_of_numbers_are_packed() -> None:
    assert packed("BOOL", [True, False]) == b"\1\0"
    assert packed("FP32", [1, 2.5, -(2**63)]) == np.array([1, 2.5, -(2.0**63)], np.float32).tobytes()
    assert packed("UINT64", [2**64 - 1, 0]) == np.array([2**64 - 1, 0], np.uint64).tobytes()
    for datatype, values in (("BOOL", [True, 1]), ("FP32", [1e300]), ("UINT64", [-1]), ("INT8", [-129.0])):
        with pytest.raises(
            RequestError, match=f"images: expected .*, received {re.escape(json.dumps(values[-1]))}"
        ):
            packed(datatype, values)


@pytest.mark.parametrize("times", [2, 4, 8])
def test_float_bytes_in_a_tensor_of_pixels_are_told(times: int) -> None:
    told = str(WireTensor("images", "UINT8", np.dtype(np.uint8), (2, 3)).wrong_size(5, 30 * times))
    assert (
        f"expected 30 bytes for shape [5, 2, 3], received {30 * times}; this looks like FP{8 * times} data"
        in told
    )
    assert "looks like" not in str(
        WireTensor("images", "INT32", np.dtype(np.int32), (2, 3)).wrong_size(5, 120 * times)
    )
    assert "looks like" not in str(
        WireTensor("images", "UINT8", np.dtype(np.uint8), (2, 3)).wrong_size(5, 30 * times + 1)
    )
