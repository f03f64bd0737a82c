"""V2 over gRPC answers as V2 over HTTP does: Triton's client with its defaults, typed contents, the same refusals."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from open_inference.grpc import protocol
from open_inference.grpc.service import GRPCInferenceServiceStub
from typer.testing import CliRunner

from modelyard.cli import app
from tests.serving.bundles import CLASSES, IMAGE_SHAPE, Linear, images, point, quirks, release

TRITON = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient(sys.argv[1])
pixels = np.load(sys.argv[2])
given = triton.InferInput("images", pixels.shape, "UINT8")
given.set_data_from_numpy(pixels)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("fruit")
assert not client.is_model_ready("stone")
metadata = client.get_model_metadata("fruit", as_json=True)
assert [one["name"] for one in metadata["outputs"]] == ["logits", "probabilities"], metadata
named = triton.InferRequestedOutput("probabilities", class_count=2)
best = client.infer("fruit", [given], outputs=[named], request_id="7")
assert best.get_response().id == "7"
assert best.as_numpy("probabilities").shape == (len(pixels), 2)
print([text.decode() for text in best.as_numpy("probabilities")[0]], file=sys.stderr)
np.save(sys.argv[2], client.infer("fruit", [given]).as_numpy("probabilities"))
"""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client made from the protocol alone."""
    with grpc.insecure_channel(address) as channel:
        yield GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]


@contextmanager
def grpc_serving(releases: Path, *options: str) -> Iterator[str]:
    """The address of a server that is ready."""
    command = [sys.executable, "-m", "modelyard.serving.grpc_server", "--releases", str(releases), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = next((line for line in process.stderr if '"ready"' in line), None)
        assert line is not None, "it ended before it was ready"
        yield json.loads(line)["grpc"]
    finally:
        process.terminate()
        process.communicate(timeout=20)
        assert process.returncode == 0


@pytest.fixture(scope="module")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grpc") / "releases"
    release(folder, 1, Linear.seeded(1), "champion")
    release(folder, 2, Linear.seeded(2))
    release(folder, 1, Linear.seeded(1), "champion", model="quirky", graph=Linear.seeded(1).graph(quirks()))
    return folder


@pytest.fixture(scope="module")
def address(fruit: Path) -> Iterator[str]:
    with grpc_serving(fruit, "--poll-s", "0.05") as ready:
        yield ready


@pytest.fixture
def stub(address: str) -> Iterator[Any]:
    with connected(address) as made:
        yield made


def call(pixels: np.ndarray[Any, np.dtype[np.uint8]], **changes: Any) -> Any:
    """A ModelInferRequest with typed contents."""
    tensor = {
        "name": "images",
        "datatype": "UINT8",
        "shape": pixels.shape,
        "contents": {"uint_contents": pixels.ravel().tolist()},
    }
    return protocol.ModelInferRequest(**{"model_name": "fruit", "inputs": [tensor | changes.pop("tensor", {})], **changes})


def test_tritons_client_gets_the_right_answers(address: str, tmp_path: Path) -> None:
    pixels = images(5)
    np.save(tmp_path / "pixels.npy", pixels)
    command = [sys.executable, "-c", TRITON, address, str(tmp_path / "pixels.npy")]  # its own process: the same message names
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    expected_BK = Linear.seeded(1).probabilities(pixels)
    np.testing.assert_allclose(np.load(tmp_path / "pixels.npy"), expected_BK, atol=1e-5)
    assert f":{CLASSES[expected_BK[0].argmax()]}'" in done.stderr


def test_typed_contents_are_answered_in_kind(stub: Any) -> None:
    pixels = images(3)
    answer = stub.ModelInfer(call(pixels, model_version="2", id="x", outputs=[{"name": "probabilities"}]))
    assert (answer.model_name, answer.model_version, answer.id) == ("fruit", "2", "x")
    (output,) = answer.outputs
    assert not answer.raw_output_contents
    found_BK = np.array(output.contents.fp32_contents, np.float32).reshape(output.shape)
    np.testing.assert_allclose(found_BK, Linear.seeded(2).probabilities(pixels), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        ({"model_name": "stone"}, "NOT_FOUND", "unknown model: 'stone'"),
        ({"model_version": "9"}, "NOT_FOUND", "no version '9'"),
        ({"tensor": {"name": "picture"}}, "INVALID_ARGUMENT", "unexpected input 'picture'"),
        ({"tensor": {"datatype": "FP32"}}, "INVALID_ARGUMENT", "expected datatype UINT8, received 'FP32'"),
        ({"tensor": {"shape": [1, 2]}}, "INVALID_ARGUMENT", "expected shape"),
        ({"tensor": {"shape": [2, *IMAGE_SHAPE]}}, "INVALID_ARGUMENT", "expected 60 bytes for shape"),
        ({"tensor": {"contents": {"uint_contents": [256] * 30}}}, "INVALID_ARGUMENT", "expected UINT8 values in range"),
        ({"outputs": [{"name": "score"}]}, "INVALID_ARGUMENT", "unexpected output 'score'"),
        ({"tensor": {"contents": {}}, "raw_input_contents": [b"\0" * 29]}, "INVALID_ARGUMENT", "expected 30"),
        ({"raw_input_contents": [b"\0" * 30]}, "INVALID_ARGUMENT", "expected raw_input_contents or contents, received both"),
        ({"parameters": {"timeout": {}}}, "INVALID_ARGUMENT", "parameter 'timeout' has no value"),
        ({"parameters": {"timeout": {"int64_param": 1}}}, "DEADLINE_EXCEEDED", "timed out in the queue"),
        ({"inputs": []}, "INVALID_ARGUMENT", "expected the model's one input, received 0"),
        ({"tensor": {"contents": {"uint_contents": [0] * 31_000}}}, "INVALID_ARGUMENT", "received more rows"),  # M9
        ({"id": "x" * 70_000}, "INVALID_ARGUMENT", "at most 65536 bytes beside the tensor"),  # M1
        ({"model_name": "m" * 100_000}, "NOT_FOUND", "unknown model: 'mmm"),  # L5
        (
            {"model_name": "quirky", "tensor": {"contents": {}}, "raw_input_contents": [b"\xff" * 30]},
            "INTERNAL",
            "the model failed",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], code: str, expected: str, stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(call(images(1), **changes))
    assert refused.value.code().name == code, refused.value.details()
    assert expected in refused.value.details()
    assert len(refused.value.details()) < 1100


def test_a_promotion_is_followed(tmp_path: Path) -> None:
    release(tmp_path, 1, Linear.seeded(1), "champion")
    release(tmp_path, 2, Linear.seeded(2))
    with grpc_serving(tmp_path, "--poll-s", "0.05") as address, connected(address) as stub:
        assert stub.ModelInfer(call(images(1))).model_version == "1"
        point(tmp_path, "fruit", "champion", 2)
        versions = (stub.ModelInfer(call(images(1))).model_version for _ in range(10_000))
        assert "2" in versions


def test_tokens_guard_all_but_health(fruit: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("open-sesame\n")
    with grpc_serving(fruit, "--token-file", str(tmp_path / "tokens")) as address, connected(address) as stub:
        assert stub.ServerReady(protocol.ServerReadyRequest()).ready
        with pytest.raises(grpc.RpcError, match="authorization: Bearer"):
            stub.ModelInfer(call(images(1)))
        metadata = (("authorization", "Bearer open-sesame"),)
        assert stub.ModelInfer(call(images(1)), metadata=metadata).model_name == "fruit"


def test_a_taken_port_is_one_line(fruit: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "modelyard.serving.grpc_server", "--releases", str(fruit), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert f"modelyard: cannot listen on 127.0.0.1:{port}; choose another --port or --host\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    result = CliRunner().invoke(app, ["serve", "--grpc"])
    assert str(result.exception) == "--grpc needs grpcio and open-inference-grpc; install modelyard[grpc]"
