"""JSON numbers as bytes: what is an integer, and what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelyard.errors import RequestError
from modelyard.serving.tensors import DATATYPES, TensorSpec, pack

DTYPES = dict(DATATYPES.values())


def packed(datatype: str, values: list[Any]) -> bytes:
    spec = TensorSpec("images", datatype, np.dtype(DTYPES[datatype]), (len(values),))
    return pack(values, spec, [1, len(values)], has_booleans=False)


@pytest.mark.parametrize("datatype", ["UINT8", "INT8", "UINT16", "INT32", "INT64", "UINT64"])
def test_whole_floats_are_the_integers_they_stand_for(datatype: str) -> None:
    expected = np.array([0, 3, 127], DTYPES[datatype]).tobytes()
    assert packed(datatype, [0, 3, 127]) == packed(datatype, [0.0, 3.0, 127.0]) == packed(datatype, [0, 3.0, 127]) == expected


@pytest.mark.parametrize(
    ("datatype", "value"),
    [("UINT8", 3.5), ("UINT8", 256.0), ("UINT8", -1.0), ("UINT8", 256), ("INT8", 128.0), ("INT64", 2.0**63), ("UINT64", 1e300),
     ("INT64", 2.0**53 + 2), ("INT32", float("nan")), ("INT32", float("inf")), ("UINT8", "3"), ("UINT8", None)],
)  # fmt: skip
def test_what_an_integer_tensor_cannot_hold_is_refused(datatype: str, value: object) -> None:
    with pytest.raises(RequestError, match=f"input 'images': expected {datatype} values in range, received another kind"):
        packed(datatype, [0, value])


@pytest.mark.parametrize("datatype", ["UINT8", "INT32", "FP32"])
def test_lists_nested_deeper_than_the_shape_are_refused(datatype: str) -> None:
    with pytest.raises(RequestError, match="received another kind of value"):
        pack([[[1], [2]]], TensorSpec("images", datatype, np.dtype(DTYPES[datatype]), (2,)), [1, 2], has_booleans=False)


@pytest.mark.parametrize("datatype", ["UINT8", "INT32", "UINT64", "FP32", "BOOL"])
@pytest.mark.parametrize("value", ["9" * 10_000_000, None, {}, [1]], ids=["text", "null", "object", "list"])
def test_one_value_that_is_no_number_costs_no_more_than_its_own_room(datatype: str, value: object) -> None:
    """H3: numpy gives each value the room of the longest text, here 4 TB in all."""
    with pytest.raises(RequestError, match="received another kind of value"):
        packed(datatype, [datatype == "BOOL"] * 99_999 + [value])


def test_all_kinds_of_numbers_are_packed() -> None:
    assert packed("BOOL", [True, False]) == b"\1\0"
    assert packed("FP32", [1, 2.5, -(2**63)]) == np.array([1, 2.5, -(2.0**63)], np.float32).tobytes()
    assert packed("UINT64", [2**64 - 1, 0]) == np.array([2**64 - 1, 0], np.uint64).tobytes()
    for datatype, values in (("BOOL", [True, 1]), ("FP32", [1e300]), ("UINT64", [-1]), ("INT8", [-129.0])):
        with pytest.raises(RequestError, match="in range"):
            packed(datatype, values)
