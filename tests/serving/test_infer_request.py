"""What is kept between requests never changes how one is read."""

from __future__ import annotations

import numpy as np
import pytest

from modelyard.errors import RequestError
from modelyard.serving.infer_request import CACHED_BYTES, InferRequest, RequestReader
from modelyard.serving.limits import Limits
from modelyard.serving.tensors import TensorSpec

SPEC = TensorSpec("images", "UINT8", np.dtype(np.uint8), (2, 3, 1))
OUTPUTS = (TensorSpec("probabilities", "FP32", np.dtype(np.float32), (5,)),)
BODY = '{"inputs":[{"name":"images","datatype":"UINT8","shape":[1,2,3,1],"data":[%s]}]}'


def reader() -> RequestReader:
    return RequestReader(SPEC, OUTPUTS, Limits.of(SPEC, 7, 8_000_000))


def outcome(of: RequestReader, body: str) -> InferRequest | str:
    try:
        return of.read(None, body.encode())
    except RequestError as error:
        return str(error)


@pytest.mark.parametrize("space", ["", " ", "\n"])
@pytest.mark.parametrize(
    "data",
    [
        "9,8,7,6,5,4", " 9, 8,7,6,5,4 ", "0,0,0,0,0,255", "0,0,0,0,0,256", "0,0,0,0,0,-1", "1,2,3,4,5", "1,2,3,4,5,6,7", "",
        "1.0,2.0,3,4,5,6",
        "1.5,2,3,4,5,6", "1e1,2,3,4,5,6", "true,2,3,4,5,6", "null,2,3,4,5,6", '"1",2,3,4,5,6', '"]",2,3,4,5,6', "[1],2,3,4,5,6",
        "[[1],[2],[3]],[[4],[5],[6]]", "1,2,3,4,5,6,", "1,2,3,4,5,6]", "01,2,3,4,5,6", "1,2,3,4,5,NaN", "{},2,3,4,5,6",
    ],
)  # fmt: skip
def test_a_known_frame_reads_as_a_new_one(data: str, space: str) -> None:
    warm, body = reader(), BODY.replace(":", f":{space}")
    assert isinstance(outcome(warm, body % "1,2,3,4,5,6"), InferRequest)
    assert warm._frames
    assert outcome(warm, body % data) == outcome(reader(), body % data)


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace('"name"', '"data":[1,2,3,4,5,6],"name"') % "1,2,3,4,5,6",
        BODY.replace("]}]}", '],"d\\u0061ta":[6,5,4,3,2,1]}]}') % "1,2,3,4,5,6",
        '{"id":"%s",' % ("x" * CACHED_BYTES) + BODY[1:] % "1,2,3,4,5,6",
    ],
)
def test_a_frame_that_could_be_read_in_two_ways_or_is_large_is_not_kept(body: str) -> None:
    read = reader()
    outcome(read, body)
    assert read._frames == {}


def test_a_large_binary_header_is_not_kept() -> None:
    read = reader()
    header = BODY.replace('"data":[%s]', '"parameters":{"binary_data_size":6}').encode() + b" " * CACHED_BYTES
    assert read.read(b"%d" % len(header), header + b"abcdef").rows == b"abcdef"
    assert read._heads == {}
