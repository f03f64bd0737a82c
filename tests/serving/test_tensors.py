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
