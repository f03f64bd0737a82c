"""What is kept between requests never changes how one is read."""

from __future__ import annotations

import asyncio
import itertools
import time

import numpy as np
import pytest

from modelyard.errors import RequestError
from modelyard.serving.http.limits import LARGE_BYTES, Limits, Turns
from modelyard.serving.protocol.infer_request import CACHED_BYTES, InferRequest, RequestReader
from modelyard.serving.protocol.inputs import Numbers
from modelyard.serving.protocol.inputs.strings import Strings
from modelyard.serving.protocol.tensors import WireTensor

SPEC = Numbers("images", "UINT8", np.dtype(np.uint8), (2, 3, 1))
OUTPUTS = (WireTensor("probabilities", "FP32", np.dtype(np.float32), (5,)),)
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
        "9,8,7,6,5,4",
        " 9, 8,7,6,5,4 ",
        "0,0,0,0,0,255",
        "0,0,0,0,0,256",
        "0,0,0,0,0,-1",
        "1,2,3,4,5",
        "1,2,3,4,5,6,7",
        "",
        "1.0,2.0,3,4,5,6",
        "1.5,2,3,4,5,6",
        "1e1,2,3,4,5,6",
        "true,2,3,4,5,6",
        "null,2,3,4,5,6",
        '"1",2,3,4,5,6',
        '"]",2,3,4,5,6',
        "[1],2,3,4,5,6",
        "[[1],[2],[3]],[[4],[5],[6]]",
        "1,2,3,4,5,6,",
        "1,2,3,4,5,6]",
        "01,2,3,4,5,6",
        "1,2,3,4,5,NaN",
        "{},2,3,4,5,6",
    ],
)
def test_a_known_frame_reads_as_a_new_one(data: str, space: str) -> None:
    warm, body = reader(), BODY.replace(":", f":{space}")
    assert isinstance(outcome(warm, body % "1,2,3,4,5,6"), InferRequest)
    assert warm._frames
    assert outcome(warm, body % data) == outcome(reader(), body % data)


STRINGS = Strings("texts", 4)
LISTED = '{"inputs":[{"name":"texts","datatype":"BYTES","shape":[2,1],"data":[%s]}]}'


def reader_of_strings() -> RequestReader:
    return RequestReader(STRINGS, OUTPUTS, Limits.of(STRINGS, 7, 8_000_000))


@pytest.mark.parametrize("space", ["", " ", "\n"])
@pytest.mark.parametrize(
    "data",
    [
        '"a","b"',
        ' "a", "" ',
        '"]","["',
        '"a]","b"',
        '"a","b]}]}"',
        r'"\u0041","\"\\"',
        r'"\"data\":[1]","b"',
        '"abcdefgh","é中🎈"',
        '["a"],["b"]',
        '["a"],"b"',
        '"a"',
        '"a","b","c"',
        "",
        '"a",5',
        "null,null",
        "true,false",
        r'"a","\u0000"',
        r'"aaaa\u0000","b"',
        r'"a","\ud83c"',
        '"a","b",',
        '"a","b"]',
        "{},{}",
    ],
)
def test_a_known_frame_of_strings_reads_as_a_new_one(data: str, space: str) -> None:
    warm, body = reader_of_strings(), LISTED.replace(":", f":{space}")
    assert isinstance(outcome(warm, body % '"x","y"'), InferRequest)
    assert warm._frames
    assert outcome(warm, body % data) == outcome(reader_of_strings(), body % data)


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


HEAD = b'"name":"images","datatype":"UINT8","shape":[1,2,3,1]'


def refusal(body: bytes, header_length: bytes | None = None) -> RequestError:
    with pytest.raises(RequestError) as caught:
        reader().read(header_length, body)
    return caught.value


@pytest.mark.parametrize("length", [b"1" * 5000, b"0" * 5000, b"65537", b"-1", b"+1", b"\xb2"])
def test_a_header_length_beyond_all_heads_is_400(length: bytes) -> None:
    """L1, M1: what stands before the bytes is JSON too."""
    assert refusal(b" " * 70_000, length).status == 400


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 900 + b"]" * 900,
        b'"' + b"\\u0001" * 150_000 + b'"',
        b"[" + b"1," * 400_000 + b"1]",
        b'{"a":' * 900 + b"1" + b"}" * 900,
    ],
)
@pytest.mark.parametrize("place", [
    b'{"inputs":[{"name":%s}]}', b'{"inputs":[{"name":"images","datatype":%s}]}', b'{"id":7,"inputs":%s}',
    b'{"inputs":[{"name":"images","datatype":"UINT8","shape":%s}]}',
    b'{"parameters":{"timeout":%s},"inputs":[{' + HEAD + b"}]}",
    b'{"inputs":[{' + HEAD + b',"parameters":{"binary_data_size":%s}}]}',
    b'{"inputs":[{' + HEAD + b'}],"outputs":[{"name":%s}]}',
    b'{"inputs":[{' + HEAD + b'}],"outputs":[{"name":"probabilities","parameters":{"classification":%s}}]}',
    b'{"parameters":{"binary_data_output":%s},"inputs":[{' + HEAD + b"}]}",
])  # fmt: skip
def test_an_error_shows_little_of_what_it_refuses(place: bytes, value: bytes) -> None:
    """L1, L5: nothing deep is written out, and nothing long."""
    body = place % value
    read = RequestReader(SPEC, OUTPUTS, Limits(7, len(body), len(body)))
    with pytest.raises(RequestError) as caught:
        read.read(None, body)
    assert caught.value.status == 400
    assert len(str(caught.value)) < 500


def test_no_refusal_is_longer_than_a_line() -> None:
    """L5: whatever text is made of a request, in whichever place."""
    assert len(str(RequestError("a" * 10**6))) < 1010


@pytest.mark.parametrize("part", [b"[],", b"[0.5],", b"{},", b'"a",', b'"%d":0,', b"1e9,", b"0.5,"])
def test_json_that_would_keep_the_others_waiting_is_413(part: bytes) -> None:
    """M1: within the bytes that 1,024 rows of a model may need, but with more lists, texts or fractions than
    integers.
    """
    limits = Limits.of(Numbers("images", "UINT8", np.dtype(np.uint8), (32, 32, 3)), 1024, 8_000_000)
    limits.check_json(b"[" + b"255," * 900_000)
    for body in (part * (8_000_000 // len(part)), b"0," * 4_100_000):
        with pytest.raises(RequestError, match="fewer rows, or binary data") as caught:
            limits.check_json(body)
        assert caught.value.status == 413


def test_the_json_of_all_rows_of_a_small_model_is_read_and_more_is_not() -> None:
    """M1: the limit follows from the rows."""
    for shape in ((28, 28, 1), (8, 8, 3)):
        values = 1024 * int(np.prod(shape))
        limits = Limits.of(Numbers("images", "UINT8", np.dtype(np.uint8), shape), 1024, 8_000_000)
        limits.check_json(b"255," * values)
    with pytest.raises(RequestError, match="expected JSON of at most 4784128 bytes"):
        limits.check_json(b" " * 5_000_000)
    assert refusal(b" " * 70_000).status == 413


def test_large_json_is_read_in_turns() -> None:
    """M1: many clients at once do not make one long standstill."""
    spans: list[tuple[float, float]] = []

    def read() -> None:
        started = time.perf_counter()
        time.sleep(0.01)
        spans.append((started, time.perf_counter()))

    async def all_at_once() -> None:
        turns, body = Turns(), bytes(LARGE_BYTES + 1)
        await asyncio.gather(*[turns.read(body, read) for _ in range(4)])

    asyncio.run(all_at_once())
    assert len(spans) == 4
    assert all(
        after[0] - before[1] > 0.9 * (before[1] - before[0]) for before, after in itertools.pairwise(spans)
    )
