"""Open Inference Protocol V2 over the wire: the official client with its defaults, and what other servers get
wrong.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from tests.serving.bundles import CLASSES, IMAGE_SHAPE, PIXELS, Linear, images
from tests.serving.conftest import Server

INFER = "/v2/models/fruit/infer"


def body(**changes: Any) -> dict[str, Any]:
    """A right request for one image, with changes to its input."""
    entry = {
        "name": "images",
        "datatype": "UINT8",
        "shape": [1, *IMAGE_SHAPE],
        "data": images(1).reshape(-1).tolist(),
    }
    return {"inputs": [entry | changes]}


def binary(
    client: httpx.Client, rows: bytes, header: dict[str, Any] | None = None, **changes: Any
) -> httpx.Response:
    """A binary request whose `rows` may not fit its header."""
    entry = {
        "name": "images",
        "datatype": "UINT8",
        "shape": [1, *IMAGE_SHAPE],
        "parameters": {"binary_data_size": PIXELS},
    }
    text = json.dumps({"inputs": [entry | changes], **(header or {})}).encode()
    return client.post(
        INFER, content=text + rows, headers={"Inference-Header-Content-Length": str(len(text))}
    )


@pytest.fixture(scope="module")
def official(server: Server) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(server.address)


def ask(official: triton.InferenceServerClient, count: int, **options: Any) -> triton.InferResult:
    tensor = triton.InferInput("images", [count, *IMAGE_SHAPE], "UINT8")
    tensor.set_data_from_numpy(images(count), binary_data=options.pop("binary_data", True))
    return official.infer("fruit", [tensor], **options)


@pytest.mark.parametrize("options", [
    {}, {"binary_data": False}, {"request_id": "x1"}, {"model_version": "1"}, {"timeout": 5_000_000},
    {"request_compression_algorithm": "gzip"}, {"request_compression_algorithm": "deflate"},
    {"response_compression_algorithm": "gzip"}, {"response_compression_algorithm": "deflate"},
])  # fmt: skip
@pytest.mark.parametrize("count", [1, 3, 50])
def test_the_official_client_gets_right_answers(
    official: triton.InferenceServerClient, linear: Linear, options: dict[str, Any], count: int
) -> None:
    result = ask(official, count, **options)
    np.testing.assert_allclose(
        result.as_numpy("probabilities"), linear.probabilities(images(count)), atol=1e-5
    )
    np.testing.assert_allclose(result.as_numpy("logits"), linear.logits(images(count)), atol=1e-4)
    response = result.get_response()
    assert (response["model_name"], response["model_version"]) == ("fruit", "1")
    assert response.get("id") == options.get("request_id")


@pytest.mark.parametrize("as_binary", [True, False])
def test_requested_outputs_come_alone_and_in_order(
    official: triton.InferenceServerClient, linear: Linear, as_binary: bool
) -> None:
    wanted = [
        triton.InferRequestedOutput(name, binary_data=as_binary) for name in ("probabilities", "logits")
    ]
    result = ask(official, 2, outputs=wanted)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["probabilities", "logits"]
    np.testing.assert_allclose(result.as_numpy("logits"), linear.logits(images(2)), atol=1e-4)
    alone = ask(official, 2, outputs=wanted[:1])
    assert [output["name"] for output in alone.get_response()["outputs"]] == ["probabilities"]


@pytest.mark.parametrize("as_binary", [True, False])
def test_classification_names_the_best_classes(
    official: triton.InferenceServerClient, linear: Linear, as_binary: bool
) -> None:
    wanted = triton.InferRequestedOutput("probabilities", binary_data=as_binary, class_count=2)
    found = ask(official, 3, outputs=[wanted]).as_numpy("probabilities")
    assert found.shape == (3, 2)
    for row, probabilities_K in zip(found, linear.probabilities(images(3)), strict=True):
        for text, index in zip(row, np.argsort(-probabilities_K), strict=False):
            score, at, name = (text.decode() if isinstance(text, bytes) else text).split(":")
            assert (int(at), name) == (index, CLASSES[index])
            assert float(score) == pytest.approx(float(probabilities_K[index]), abs=1e-5)


def test_the_official_client_sees_a_whole_server(official: triton.InferenceServerClient) -> None:
    assert official.is_server_live() and official.is_server_ready() and official.is_model_ready("fruit", "1")
    extensions = official.get_server_metadata()["extensions"]
    assert {
        "binary_tensor_data",
        "classification",
        "model_repository",
        "statistics",
        "model_configuration",
    } <= set(extensions)
    metadata = official.get_model_metadata("fruit")
    assert metadata["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, *IMAGE_SHAPE]}]
    assert metadata["outputs"][1] == {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": [-1, len(CLASSES)],
    }
    assert metadata["versions"] == ["1", "2"]
    config = official.get_model_config("fruit-rnn")
    layout = {"format": "FORMAT_NHWC"}  # where Triton's image client finds height and width
    assert config["input"] == [
        {"name": "images", "data_type": "TYPE_UINT8", "dims": list(IMAGE_SHAPE)} | layout
    ]
    assert config["max_batch_size"] == 1024
    assert len(ask(official, 1024).as_numpy("logits")) == 1024
    with pytest.raises(triton.InferenceServerException, match="expected 1 to 1024 rows, received 1025"):
        ask(official, 1025)
    index = {(row["name"], row["version"]): row["state"] for row in official.get_model_repository_index()}
    assert (
        index["fruit", "1"]
        == index["fruit-cnn", "1"]
        == index["fruit-rnn", "2"]
        == index["quirky", "1"]
        == "READY"
    )


def test_statistics_count_rows_and_batches(official: triton.InferenceServerClient) -> None:
    def counted() -> dict[str, Any]:
        (stats,) = official.get_inference_statistics("fruit", "1")["model_stats"]
        return dict(stats)

    before = counted()
    ask(official, 3)
    with pytest.raises(triton.InferenceServerException):
        official.infer(
            "fruit", [triton.InferInput("nothing", [1], "UINT8").set_data_from_numpy(np.zeros(1, np.uint8))]
        )
    after = counted()
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["execution_count"] - before["execution_count"] == 1
    for name in ("success", "fail"):
        assert after["inference_stats"][name]["count"] - before["inference_stats"][name]["count"] == 1
    assert any(batch["batch_size"] == 3 for batch in after["batch_stats"])


def test_every_version_can_be_addressed(client: httpx.Client) -> None:
    other = Linear.seeded(2).probabilities(images(1))
    for path in (
        "/v2/models/fruit/versions/2/infer",
        "/v2/models/fruit-rnn/infer",
        "/v2/models/fruit-rnn/versions/2/infer",
    ):
        answer = client.post(path, json=body()).json()
        assert answer["model_version"] == "2"
        np.testing.assert_allclose(answer["outputs"][1]["data"], other.reshape(-1), atol=1e-5)


def test_nested_and_flat_data_are_the_same(client: httpx.Client) -> None:
    nested = client.post(INFER, json=body(data=images(1).tolist()))
    assert nested.json()["outputs"] == client.post(INFER, json=body()).json()["outputs"]


def test_a_raw_body_is_the_input(client: httpx.Client, linear: Linear) -> None:
    """18: one row of it, as for Triton."""
    raw = {"Inference-Header-Content-Length": "0"}
    answer = client.post(INFER, content=images(1).tobytes(), headers=raw)
    length = int(answer.headers["Inference-Header-Content-Length"])
    assert [output["shape"] for output in json.loads(answer.content[:length])["outputs"]] == [[1, 4], [1, 4]]
    np.testing.assert_allclose(
        np.frombuffer(answer.content[-16:], np.float32), linear.probabilities(images(1))[0], atol=1e-5
    )
    for count in (0, 2, 3):
        answer = client.post(INFER, content=images(count).tobytes(), headers=raw)
        assert answer.status_code == 400
        assert (
            f"expected {PIXELS} bytes for shape [1, 3, 5, 2], received {count * PIXELS}"
            in answer.json()["error"]
        )


WRONG_INPUTS: dict[str, dict[str, Any]] = {
    "datatype": {"datatype": "FP32"},
    "no datatype": {"datatype": None},
    "name": {"name": "image"},
    "shape": {"shape": [1, 5, 3, 2]},
    "shape of text": {"shape": "1"},
    "shape of fractions": {"shape": [1.5, 3, 5, 2]},
    "true shape": {"shape": [True, *IMAGE_SHAPE]},
    "empty shape": {"shape": []},
    "no rows": {"shape": [0, *IMAGE_SHAPE], "data": []},
    "too many rows": {"shape": [1e300, *IMAGE_SHAPE]},
    "negative rows": {"shape": [-1, *IMAGE_SHAPE]},
    "shape and data differ": {"shape": [2, *IMAGE_SHAPE]},
    "too few": {"data": [1, 2]},
    "no data": {"data": None},
    "text": {"data": ["1"] * PIXELS},
    "floats": {"data": [0.5] * PIXELS},
    "booleans": {"data": [True] * PIXELS},
    "null": {"data": [None] * PIXELS},
    "out of range": {"data": [256] * PIXELS},
    "negative": {"data": [-1] * PIXELS},
    "huge": {"data": [10**30] * PIXELS},
    "ragged": {"data": [[[[1, 2]] * 5] * 2 + [[[1, 2]] * 4]]},
    "binary size without header": {"parameters": {"binary_data_size": PIXELS}},
    "parameters": {"parameters": []},
    "objects": {"data": [{}] * PIXELS},
    "nested too deep": {"data": [[[[[1], [2]]] * 5] * 3]},
}


@pytest.mark.parametrize("changes", WRONG_INPUTS.values(), ids=WRONG_INPUTS.keys())
def test_wrong_inputs_are_400_with_error(client: httpx.Client, changes: dict[str, Any]) -> None:
    answer = client.post(INFER, json=body(**changes))
    assert (answer.status_code, set(answer.json())) == (400, {"error"}), answer.text
    assert len(answer.text) < 300


WRONG_BODIES: dict[str, bytes] = {
    "malformed": b'{"inputs":',
    "empty": b"",
    "no object": b"[]",
    "NaN": json.dumps(body(data=[float("nan")] * PIXELS)).encode(),
    "infinity": json.dumps(body(data=[float("inf")] * PIXELS)).encode(),
    "not UTF-8": b'{"id":"\xff"}',
    "deep": b"[" * 20_000,
    "no inputs": b"{}",
    "two inputs": json.dumps({"inputs": body()["inputs"] * 2}).encode(),
    "id": json.dumps(body() | {"id": 5}).encode(),
    "unknown output": json.dumps(body() | {"outputs": [{"name": "nothing"}]}).encode(),
    "output twice": json.dumps(body() | {"outputs": [{"name": "logits"}] * 2}).encode(),
    "flag": json.dumps(body() | {"parameters": {"binary_data_output": 1}}).encode(),
    "timeout": json.dumps(body() | {"parameters": {"timeout": -1}}).encode(),
    "classes": json.dumps(
        body() | {"outputs": [{"name": "logits", "parameters": {"classification": "2"}}]}
    ).encode(),
}


@pytest.mark.parametrize("content", WRONG_BODIES.values(), ids=WRONG_BODIES.keys())
def test_wrong_bodies_are_400_with_error(client: httpx.Client, content: bytes) -> None:
    answer = client.post(INFER, content=content)
    assert (answer.status_code, set(answer.json())) == (400, {"error"}), answer.text


WHOLE: dict[str, dict[str, Any]] = {
    "parameters": body() | {"parameters": None},
    "outputs": body() | {"outputs": None},
    "no outputs": body() | {"outputs": []},
    "id": body() | {"id": None},
    "of the input": body(parameters=None),
    "whole floats": body(shape=[1.0, 3.0, 5, 2.0]),
    "of an output": body()
    | {"outputs": [{"name": "logits", "parameters": None}, {"name": "probabilities", "parameters": {}}]},
}


@pytest.mark.parametrize("request_", WHOLE.values(), ids=WHOLE.keys())
def test_null_is_absent_and_an_empty_list_is_all_outputs(
    client: httpx.Client, request_: dict[str, Any]
) -> None:
    """W4, W15: what pydantic and Go's structs write."""
    answer = client.post(INFER, json=request_)
    assert answer.status_code == 200, answer.text
    assert answer.json() == client.post(INFER, json=body()).json()


def everywhere(parameters: Any) -> dict[str, dict[str, Any]]:
    """The same parameters of the request, the input and an output."""
    return {
        "request": body() | {"parameters": parameters}, "input": body(parameters=parameters),
        "output": body() | {"outputs": [{"name": "logits", "parameters": parameters}]},
    }  # fmt: skip


@pytest.mark.parametrize("place", everywhere(None))
@pytest.mark.parametrize("parameters", [{"k": [1]}, {"k": None}, {"k": {}}, [], False, 0, "", "k"], ids=str)
def test_parameters_are_texts_numbers_and_booleans(client: httpx.Client, place: str, parameters: Any) -> None:
    """W10."""
    answer = client.post(INFER, json=everywhere(parameters)[place])
    assert answer.status_code == 400 and "parameter" in answer.json()["error"], answer.text
    assert (
        client.post(INFER, json=everywhere({"k": 1, "l": 0.5, "m": True, "n": "o"})[place]).status_code == 200
    )


@pytest.mark.parametrize("place", ["input", "output"])
@pytest.mark.parametrize(
    "value", [{"shared_memory_region": "r", "shared_memory_byte_size": 40}, {"shared_memory_offset": 0}]
)
def test_shared_memory_is_refused_by_name(client: httpx.Client, place: str, value: dict[str, Any]) -> None:
    """12."""
    answer = client.post(INFER, json=everywhere(value)[place])
    assert answer.status_code == 400 and "shared memory is not supported" in answer.json()["error"]


@pytest.mark.parametrize("kind", ["system", "cuda"])
@pytest.mark.parametrize(
    "order", ["status", "region/r/status", "region/r/register", "region/r/unregister", "unregister"]
)
def test_so_are_its_routes(client: httpx.Client, kind: str, order: str) -> None:
    answer = client.request("GET" if order.endswith("status") else "POST", f"/v2/{kind}sharedmemory/{order}")
    assert answer.status_code == 400 and "shared memory is not supported" in answer.json()["error"]


@pytest.mark.parametrize("times", [4, 8])
def test_float_bytes_are_told_from_pixels(client: httpx.Client, times: int) -> None:
    """5: declared UINT8, whichever length is told."""
    rows = bytes(PIXELS * times)
    for answer in (
        binary(client, rows), binary(client, rows, parameters={"binary_data_size": len(rows)}),
        client.post(INFER, content=rows, headers={"Inference-Header-Content-Length": "0"}),
    ):  # fmt: skip
        assert answer.status_code == 400, answer.text
        assert f"received {len(rows)}; this looks like FP{8 * times} data" in answer.json()["error"]


@pytest.mark.parametrize("datatype", ["FP32", "FP64", "FP16", "BF16", "BYTES", "INT64", "uint8"])
def test_another_datatype_is_refused_with_the_way_that_works(client: httpx.Client, datatype: str) -> None:
    for answer in (
        client.post(INFER, json=body(datatype=datatype)),
        binary(client, bytes(PIXELS), datatype=datatype),
    ):
        assert answer.status_code == 400
        told = answer.json()["error"]
        assert (
            f"expected datatype UINT8, received '{datatype}'; send raw pixels" in told and "/predict" in told
        )


def test_models_are_listed(client: httpx.Client) -> None:
    """W11: as KServe lists them."""
    assert client.get("/v2/models").json() == {"models": ["fruit", "fruit-cnn", "fruit-rnn", "quirky"]}


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b'{"ready":null}', b'{"ready":false}', b"\xef\xbb\xbf{}"]
)
def test_the_index_takes_null(client: httpx.Client, body: bytes) -> None:
    """W4."""
    answer = client.post("/v2/repository/index", content=body)
    assert answer.status_code == (400 if body == b"null" else 200), answer.text


def test_wrong_binary_requests_are_400(client: httpx.Client) -> None:
    rows = images(1).tobytes()
    assert binary(client, rows).status_code == 200
    wrong = [
        binary(client, rows[:-4]),
        binary(client, rows + bytes(4)),
        binary(client, rows, shape=[2, *IMAGE_SHAPE]),
        binary(client, rows, parameters={"binary_data_size": PIXELS - 1}),
        binary(client, rows, parameters={}),
        binary(client, rows, data=[1]),
        binary(client, b"", shape=[0, *IMAGE_SHAPE], parameters={"binary_data_size": 0}),
        *(
            client.post(INFER, content=rows, headers={"Inference-Header-Content-Length": length})
            for length in ("-1", "x", "999999", "1e2", "9" * 30)
        ),
        client.post(INFER, content=rows[:-1], headers={"Inference-Header-Content-Length": "0"}),
    ]
    assert [answer.status_code for answer in wrong] == [400] * len(wrong)
    assert all(set(answer.json()) == {"error"} and "b'" not in answer.text for answer in wrong)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/nobody", 404),
        ("/v2/models/nobody/ready", 404),
        ("/v2/models/fruit/versions/9", 404),
        ("/v2/models/fruit/versions/9/ready", 404),
        ("/v2/models/fruit-rnn/versions/1", 404),
        ("/v2/models/fruit/versions/..%2f1", 404),
        ("/v2/models/fruit/nothing", 404),
        ("/v2/models/fruit/versions/1/a/b", 404),
        ("/nothing", 404),
        ("/v2/models/", 404),
        (INFER, 405),
        ("/v2/", 200),
        ("/v2", 200),
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
    ],
)
def test_paths(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert status == 200 or set(answer.json()) == {"error"}


def test_unknown_models_cannot_be_asked(client: httpx.Client) -> None:
    for path in ("/v2/models/nobody/infer", "/v2/models/fruit/versions/9/infer"):
        assert client.post(path, json=body()).status_code == 404
    told = client.post("/v2/models/nobody/infer", json=body()).json()["error"]
    assert (
        "Request for unknown model: 'nobody' is not found; served: fruit, fruit-cnn" in told
    )  # W8: Triton's words and ours


def test_json_carries_no_nan_and_says_what_does(client: httpx.Client) -> None:
    image_HWC = images(1)
    image_HWC[0, 0, 0, 1] = 0  # the quirk: its logits are NaN
    request = body(data=image_HWC.reshape(-1).tolist())
    answer = client.post("/v2/models/quirky/infer", json=request)
    assert answer.status_code == 500
    assert "NaN or infinity); ask for binary_data" in answer.json()["error"]
    answer = client.post(
        "/v2/models/quirky/infer", json=request | {"parameters": {"binary_data_output": True}}
    )
    assert answer.status_code == 200
    assert np.isnan(np.frombuffer(answer.content[-16:], np.float32)).all()


def test_a_failing_model_is_500_with_error(client: httpx.Client) -> None:
    answer = client.post("/v2/models/quirky/infer", json=body(data=[255] * PIXELS))
    assert answer.status_code == 500
    assert answer.json()["error"].startswith("the model failed: ")


def test_compressed_bodies_are_bounded(client: httpx.Client) -> None:
    packed = gzip.compress(json.dumps(body()).encode())
    assert client.post(INFER, content=packed, headers={"Content-Encoding": "gzip"}).status_code == 200
    for content, encoding, status in (
        (packed[:-3], "gzip", 400),
        (packed + b"x", "gzip", 400),
        (packed, "deflate", 400),
        (packed, "br", 415),
        (zlib.compress(bytes(50_000_000)), "deflate", 413),
    ):
        answer = client.post(INFER, content=content, headers={"Content-Encoding": encoding})
        assert (answer.status_code, set(answer.json())) == (status, {"error"})


def test_large_bodies_are_413_before_they_are_read(client: httpx.Client) -> None:
    assert client.post(INFER, content=bytes(100_001)).status_code == 413
    assert client.post(INFER, content=iter([bytes(60_000)] * 3)).status_code == 413
    assert (
        client.post(INFER, json=body(shape=[1025, *IMAGE_SHAPE])).json()["error"]
        == "expected 1 to 1024 rows, received 1025"
    )
