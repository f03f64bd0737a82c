"""Texts over V2, REST and gRPC: BYTES as Triton's and MLServer's clients send them, and UTF-8 as numbers."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from open_inference.grpc import protocol

from modelyard.samples.text_form import padded
from modelyard.serving.protocol.inputs.varying import MOST_BYTES
from tests.serving.conftest import Server
from tests.serving.test_grpc import connected
from tests.serving.text_bundles import FORBIDDEN, TEXTS, Counts

COUNTS = Counts()
INFER, BYTES = "/v2/models/letters/infer", "/v2/models/letters-transformer/infer"
MLSERVER_TEXTS = ("what a film", "", "中文 🎈 e\u0301", 'a "quoted" ] text\n')
MLSERVER_JSON = (
    '{"id":"7","inputs":[{"name":"texts","shape":[4,1],"datatype":"BYTES","parameters":{"content_type":"str"},'
    '"data":["what a film","","中文 🎈 e\u0301","a \\"quoted\\" ] text\\n"]}]}'
)
MLSERVER_TYPED = bytes.fromhex(
    "0a076c6574746572731a01372a5f0a057465787473120542595445531a02040122150a0c636f6e74656e745f7479706512051a0373"
    "74722a34420b7768617420612066696c6d4200420fe4b8ade6968720f09f8e882065cc81421261202271756f74656422205d207465"
    "78740a"
)
MLSERVER_RAW = bytes.fromhex(
    "0a076c6574746572731a01372a2b0a057465787473120542595445531a02040122150a0c636f6e74656e745f7479706512051a0373"
    "74722a003a3c0b0000007768617420612066696c6d000000000f000000e4b8ade6968720f09f8e882065cc81120000006120227175"
    "6f74656422205d20746578740a"
)
"""What mlserver 1.7.1 makes of `MLSERVER_TEXTS`: `StringCodec.encode_input("texts", ...)` in an
`InferenceRequest(id="7")` as JSON, and as a message by its converter, without and with `use_raw`.
"""
TRITON = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient(sys.argv[1])
texts = np.array(sys.argv[2:], dtype=object)
for shaped in (texts, texts[:, None]):
    given = triton.InferInput("texts", shaped.shape, "BYTES")
    given.set_data_from_numpy(shaped)
    found = client.infer("letters", [given]).as_numpy("probabilities")
    print(found.tolist())
named = triton.InferRequestedOutput("probabilities", class_count=1)
print(client.infer("letters", [given], outputs=[named]).as_numpy("probabilities")[:, 0].tolist())
"""


def in_json(rows: list[Any], shape: list[int] | None = None, **entry: Any) -> dict[str, Any]:
    shape = [len(rows), 1] if shape is None else shape
    return {"inputs": [{"name": "texts", "datatype": "BYTES", "shape": shape, "data": rows} | entry]}


def in_binary(elements: list[bytes], packed: bytes | None = None) -> tuple[bytes, dict[str, str]]:
    """Body and headers of binary BYTES."""
    packed = b"".join(struct.pack("<I", len(one)) + one for one in elements) if packed is None else packed
    entry = {"name": "texts", "datatype": "BYTES", "shape": [len(elements)]}
    head = json.dumps({"inputs": [entry | {"parameters": {"binary_data_size": len(packed)}}]}).encode()
    return head + packed, {"Inference-Header-Content-Length": str(len(head))}


def probabilities(answer: httpx.Response) -> NDArray[np.float32]:
    assert answer.status_code == 200, answer.text
    told = answer.json()["outputs"][1]
    return np.array(told["data"], np.float32).reshape(told["shape"])


def is_right(found: Any, given: tuple[str, ...] = TEXTS) -> None:
    np.testing.assert_allclose(found, COUNTS.probabilities(given), atol=1e-5)


@pytest.mark.parametrize("shape", [[5], [5, 1], [5.0, 1.0]])
@pytest.mark.parametrize("nested", [False, True])
def test_strings_in_json(asked: httpx.Client, shape: list[Any], nested: bool) -> None:
    rows = [[text] if nested else text for text in TEXTS]
    for _ in range(2):  # the second time its frame is known
        is_right(probabilities(asked.post(INFER, json=in_json(rows, shape))))


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("encoded", [False, True])
def test_tritons_client_gets_right_answers(
    texts: Server, shape: tuple[int, ...], binary: bool, encoded: bool
) -> None:
    rows = np.array([text.encode() if encoded else text for text in TEXTS], object).reshape(shape)
    client = triton.InferenceServerClient(texts.address)
    tensor = triton.InferInput("texts", shape, "BYTES").set_data_from_numpy(rows, binary_data=binary)
    is_right(client.infer("letters", [tensor]).as_numpy("probabilities"))
    wanted = triton.InferRequestedOutput("probabilities", class_count=1)
    best = client.infer("letters", [tensor], outputs=[wanted]).as_numpy("probabilities")[:, 0]
    assert [one.decode().split(":")[2] for one in best[[0, 2, 3]]] == ["ants", "dogs", "cats"]


def test_tritons_client_gets_right_answers_over_grpc(texts: Server) -> None:
    """In a process of its own: two protobufs do not go together."""
    address = str(texts.events("ready")[0]["grpc"])
    done = subprocess.run(
        [sys.executable, "-c", TRITON, address, *TEXTS], capture_output=True, text=True, check=True
    )
    flat, column, best = done.stdout.splitlines()
    is_right(json.loads(flat))
    assert flat == column and "dogs" in best


def test_what_mlserver_sends_is_read(asked: httpx.Client, texts: Server) -> None:
    json_type = {"Content-Type": "application/json"}
    answer = asked.post(INFER, content=MLSERVER_JSON.encode(), headers=json_type)
    is_right(probabilities(answer), MLSERVER_TEXTS)
    assert answer.json()["id"] == "7"
    with connected(str(texts.events("ready")[0]["grpc"])) as stub:
        typed = stub.ModelInfer(protocol.ModelInferRequest.FromString(MLSERVER_TYPED))
        raw = stub.ModelInfer(protocol.ModelInferRequest.FromString(MLSERVER_RAW))
    is_right(np.reshape(typed.outputs[1].contents.fp32_contents, (4, 4)), MLSERVER_TEXTS)
    is_right(np.frombuffer(raw.raw_output_contents[1], np.float32).reshape(4, 4), MLSERVER_TEXTS)


def test_a_raw_body_is_one_text(asked: httpx.Client) -> None:
    for path in (INFER, BYTES):
        for text in TEXTS:
            headers = {"Inference-Header-Content-Length": "0"}
            answer = asked.post(path, content=text.encode(), headers=headers)
            is_right(np.frombuffer(answer.content[-16:], np.float32)[None], (text,))


def test_bytes_never_become_their_repr(asked: httpx.Client) -> None:
    """onnxruntime would answer for "b'add'" without an error."""
    body, headers = in_binary([b"add"])
    answer = asked.post(INFER, content=body, headers=headers)
    is_right(probabilities(answer), ("add",))
    assert not np.allclose(COUNTS.probabilities(["add"]), COUNTS.probabilities([repr(b"add")]))


WRONG_ELEMENTS: dict[str, tuple[bytes, str]] = {
    "latin-1": (struct.pack("<I", 4) + "caf\xe9".encode("latin-1"), "row 1 is not UTF-8 (byte 3 is 0xe9)"),
    "half a character": (struct.pack("<I", 1) + b"\xe4", "row 1 is not UTF-8 (byte 0 is 0xe4)"),
    "a surrogate": (struct.pack("<I", 3) + b"\xed\xa0\x80", "row 1 is not UTF-8 (byte 0 is 0xed)"),
    "NUL": (struct.pack("<I", 3) + b"a\0b", "row 1 holds the character NUL"),
    "short": (struct.pack("<I", 9) + b"a", "expected 2 strings, each after its length in 4 bytes"),
    "long": (struct.pack("<I", 1) + b"abc", "expected 2 strings, each after its length in 4 bytes"),
    "endless": (struct.pack("<I", 2**32 - 1), "expected 2 strings, each after its length in 4 bytes"),
    "half a length": (b"\1\0", "expected 2 strings, each after its length in 4 bytes"),
    "nothing": (b"", "expected 2 strings, each after its length in 4 bytes"),
}


@pytest.mark.parametrize(("element", "told"), WRONG_ELEMENTS.values(), ids=WRONG_ELEMENTS.keys())
def test_what_is_no_text_is_400_and_names_the_row(asked: httpx.Client, element: bytes, told: str) -> None:
    body, headers = in_binary([b"", b""], struct.pack("<I", 3) + b"dad" + element)
    answer = asked.post(INFER, content=body, headers=headers)
    assert answer.status_code == 400 and told in answer.json()["error"], answer.text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (5, "expected a string in row 1, received 5"),
        (None, "expected a string in row 1, received null"),
        (True, "expected a string in row 1, received true"),
        (["a", "b"], "expected a string in row 1, received a list of 2"),
        ({"a": "b"}, "expected a string in row 1, received an object of 1 keys"),
        ("a\0b", "row 1 holds the character NUL"),
    ],
)
def test_what_is_no_string_is_400_and_names_the_row(asked: httpx.Client, value: Any, told: str) -> None:
    for path, sent in (
        (INFER, in_json(["dad", value])),
        ("/invocations", {"dataframe_split": {"columns": ["texts"], "data": [["dad"], [value]]}}),
    ):
        answer = asked.post(path, json=sent)
        assert answer.status_code == 400 and told in answer.json()["error"], answer.text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"datatype": "FP32"}, "expected datatype BYTES, received 'FP32'"),
        ({"shape": [1, 2]}, "expected shape [-1, 1], received [1, 2]"),
        ({"shape": [2, 1]}, "data: expected a list of 2 strings, received 1"),
        ({"shape": [0]}, "expected 1 to 1024 rows, received 0"),
        ({"name": "text"}, "unexpected input 'text'; the model has 'texts'"),
        ({"data": "dad"}, "data: expected a list of 1 strings, received str"),
    ],
)
def test_a_request_that_does_not_fit_is_400(asked: httpx.Client, given: Any, told: str) -> None:
    answer = asked.post(INFER, json=in_json(["dad"], **given))
    assert answer.status_code == 400 and told in answer.json()["error"], answer.text


def test_half_a_surrogate_pair_is_400(asked: httpx.Client) -> None:
    body = json.dumps(in_json(["\ud83c"])).encode()
    answer = asked.post(INFER, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and "surrogate" in answer.json()["error"]


def test_a_book_is_413_and_a_long_text_is_cut(asked: httpx.Client) -> None:
    book, long = "a" * (MOST_BYTES + 1), "a" * 10 + "d" * 500_000
    for text, status in ((book, 413), (long, 200)):
        body, headers = in_binary([b"dad", text.encode()])
        for answer in (
            asked.post(INFER, content=body, headers=headers),
            asked.post(INFER, json=in_json(["dad", text])),
            asked.post("/invocations", json={"inputs": ["dad", text]}),
        ):
            assert answer.status_code == status, answer.text
            if status == 413:
                assert "in row 1; the model reads its first 64 characters" in answer.json()["error"]
        plain = asked.post("/predict", content=text.encode(), headers={"Content-Type": "text/plain"})
        assert plain.status_code == status
    is_right(probabilities(asked.post(INFER, json=in_json([long]))), (long,))


def test_metadata_and_configuration(asked: httpx.Client) -> None:
    told = {path: asked.get(path.replace("/infer", "")).json()["inputs"] for path in (INFER, BYTES)}
    assert told[INFER] == [{"name": "texts", "datatype": "BYTES", "shape": [-1, 1]}]
    assert told[BYTES] == [{"name": "bytes", "datatype": "UINT8", "shape": [-1, -1]}]
    inputs = [asked.get(path.replace("infer", "config")).json()["input"][0] for path in (INFER, BYTES)]
    assert [(one["data_type"], one["dims"]) for one in inputs] == [("TYPE_STRING", [1]), ("TYPE_UINT8", [-1])]
    cards = {card["name"]: card for card in asked.get("/models").json()}
    assert (cards["letters"]["kind"], cards["letters"]["longest_text"]) == ("text", 64)
    assert cards["letters"]["reading"] == {"unicode": "NFC"}


def as_bytes(rows: tuple[str, ...], more: int = 0) -> NDArray[np.uint8]:
    found = padded([row.encode() for row in rows])
    return np.pad(found, ((0, 0), (0, more)))


@pytest.mark.parametrize("more", [0, 1, 1000])
def test_bytes_with_any_padding(texts: Server, more: int) -> None:
    rows = as_bytes(TEXTS, more)
    client = triton.InferenceServerClient(texts.address)
    for binary in (True, False):
        tensor = triton.InferInput("bytes", rows.shape, "UINT8").set_data_from_numpy(rows, binary_data=binary)
        is_right(client.infer("letters-transformer", [tensor]).as_numpy("probabilities"))
    entry = {"name": "bytes", "datatype": "UINT8", "shape": list(rows.shape), "data": rows.tolist()}
    is_right(probabilities(texts.client.post(BYTES, json={"inputs": [entry]})))
    uneven = [[*text.encode()] for text in TEXTS]
    answer = texts.client.post("/invocations?model=letters-transformer", json={"inputs": uneven})
    is_right(answer.json()["predictions"]["probabilities"])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"shape": [1, 2], "data": [97, 98, 99]}, "data has 3 values, shape [1, 2] needs 2"),
        ({"shape": [1], "data": [97]}, "expected shape [-1, -1], received [1]"),
        ({"shape": [1, 0], "data": []}, "expected shape [-1, -1], received [1, 0]"),
        ({"shape": [1, 3], "data": [97, 0, 98]}, "row 0 holds the character NUL"),
        ({"shape": [2, 2], "data": [97, 98, 97, 233]}, "row 1 is not UTF-8 (byte 1 is 0xe9)"),
        ({"shape": [1, 1], "data": [256]}, "expected integers 0 to 255, received 256"),
    ],
)
def test_bytes_that_are_no_text_are_400(asked: httpx.Client, given: Any, told: str) -> None:
    answer = asked.post(BYTES, json={"inputs": [{"name": "bytes", "datatype": "UINT8"} | given]})
    assert answer.status_code == 400 and told in answer.json()["error"], answer.text


def test_many_at_once_get_their_own_answers(texts: Server) -> None:
    """Requests of one text and of several, short and long, that one batch may hold; one of them fails."""
    generator = np.random.default_rng(3)
    groups = [
        tuple("abcd eé中"[letter % 8] * int(length) for letter, length in enumerate(lengths))
        for lengths in (generator.integers(0, 200, generator.integers(1, 5)) for _ in range(200))
    ]
    bad = groups[50] = ("a", FORBIDDEN)

    def ask(group: tuple[str, ...]) -> None:
        answer = texts.client.post(INFER, json=in_json([*group]))
        if group == bad:
            assert answer.status_code == 500 and "the model failed" in answer.json()["error"]
        else:
            is_right(probabilities(answer), group)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, groups))
