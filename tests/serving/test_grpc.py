"""V2 over gRPC answers as V2 over HTTP does: Triton's client with its defaults, typed contents, the same
refusals.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from open_inference.grpc import protocol
from open_inference.grpc.service import GRPCInferenceServiceStub

from modelyard.errors import ConfigError
from modelyard.serving.__main__ import read_options
from tests.serving.bundles import CLASSES, IMAGE_SHAPE, Linear, images, point, quirks, release
from tests.serving.conftest import Server, running
from tests.serving.test_metrics import scraped

INFERENCE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"
SHARED = {"shared_memory_region": {"string_param": "mine"}}
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
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


class Reflected:
    """A client that knows no messages: it asks the server for their definitions, as grpcurl does."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))

    def message(self, full_name: str, /, **fields: Any) -> Any:
        return GetMessageClass(self._pool.FindMessageTypeByName(full_name))(**fields)

    def call(self, name: str, request: Any = None, *, service: str = INFERENCE) -> Any:
        method = self._pool.FindServiceByName(service).methods_by_name[name]
        ways = (method.client_streaming, method.server_streaming)
        kind = "_".join("stream" if streams else "unary" for streams in ways)
        reads = GetMessageClass(method.output_type).FromString
        make = getattr(self._channel, kind)(
            f"/{service}/{name}", GetMessageClass(method.input_type).SerializeToString, reads
        )
        return make(
            GetMessageClass(method.input_type)() if request is None else request,
            timeout=20,
            wait_for_ready=True,
        )

    def health(self, name: str) -> int:
        request = self.message("grpc.health.v1.HealthCheckRequest", service=name)
        return int(self.call("Check", request, service=HEALTH).status)


@contextmanager
def serving(releases: Path, log: Path, *options: str) -> Iterator[tuple[Server, str]]:
    """A server, and where it answers gRPC."""
    with running(releases, log, "--workers", "1", "--grpc-port", "0", "--poll-s", "0.05", *options) as server:
        yield server, str(server.events("ready")[0]["grpc"])
        assert server.stop() == 0


@pytest.fixture(scope="module")
def fruit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grpc") / "releases"
    release(folder, 1, Linear.seeded(1), "champion")
    release(folder, 2, Linear.seeded(2))
    release(folder, 1, Linear.seeded(1), "champion", model="quirky", graph=Linear.seeded(1).graph(quirks()))
    release(folder, 1, Linear.seeded(1), "champion", model="moved")
    release(folder, 2, Linear.seeded(2), model="moved")
    return folder


@pytest.fixture(scope="module")
def both(fruit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    with serving(
        fruit, tmp_path_factory.mktemp("log") / "log", "--allow-load", "--read-timeout-s", "0.5"
    ) as server_and_address:
        yield server_and_address


@pytest.fixture
def address(both: tuple[Server, str]) -> str:
    return both[1]


@pytest.fixture
def http(both: tuple[Server, str]) -> httpx.Client:
    return both[0].client


@pytest.fixture
def reflected(address: str) -> Iterator[Reflected]:
    with grpc.insecure_channel(address) as channel:
        yield Reflected(channel)


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
    return protocol.ModelInferRequest(
        **{"model_name": "fruit", "inputs": [tensor | changes.pop("tensor", {})], **changes}
    )


def test_tritons_client_gets_the_right_answers(address: str, tmp_path: Path) -> None:
    pixels = images(5)
    np.save(tmp_path / "pixels.npy", pixels)
    command = [
        sys.executable,
        "-c",
        TRITON,
        address,
        str(tmp_path / "pixels.npy"),
    ]  # its own process: the same message names
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
        ({"model_name": "stone"}, "NOT_FOUND", "unknown model"),
        ({"model_version": "9"}, "NOT_FOUND", "no version '9'"),
        ({"tensor": {"name": "picture"}}, "INVALID_ARGUMENT", "unexpected input 'picture'"),
        ({"tensor": {"datatype": "FP32"}}, "INVALID_ARGUMENT", "expected datatype UINT8, received 'FP32'"),
        (
            {"tensor": {"datatype": "BYTES", "contents": {"bytes_contents": [b"iVBO"]}}},
            "INVALID_ARGUMENT",
            "received 'BYTES'",
        ),
        ({"raw_input_contents": [b"", b""]}, "INVALID_ARGUMENT", "the model's one input, received 2"),
        (
            {"tensor": {"contents": {"fp32_contents": [0.5] * 30}}},
            "INVALID_ARGUMENT",
            "UINT8 in uint_contents, received fp32_c",
        ),
        (
            {"tensor": {"contents": {"uint_contents": [1] * 30, "int_contents": [1]}}},
            "INVALID_ARGUMENT",
            "received int_contents",
        ),
        ({"tensor": {"parameters": SHARED}}, "INVALID_ARGUMENT", "shared memory is not supported"),
        (
            {"outputs": [{"name": "logits", "parameters": SHARED}]},
            "INVALID_ARGUMENT",
            "shared memory is not supported",
        ),
        ({"tensor": {"shape": [1, 2]}}, "INVALID_ARGUMENT", "expected shape"),
        ({"tensor": {"shape": [2, *IMAGE_SHAPE]}}, "INVALID_ARGUMENT", "expected 60"),
        (
            {"tensor": {"contents": {"uint_contents": [256] * 30}}},
            "INVALID_ARGUMENT",
            "0 to 255, received 256; send raw",
        ),
        ({"outputs": [{"name": "score"}]}, "INVALID_ARGUMENT", "unexpected output 'score'"),
        ({"tensor": {"contents": {}}, "raw_input_contents": [b"\0" * 29]}, "INVALID_ARGUMENT", "expected 30"),
        (
            {"raw_input_contents": [b"\0" * 30]},
            "INVALID_ARGUMENT",
            "expected raw_input_contents or contents, received both",
        ),
        (
            {"parameters": {"timeout": {}}},
            "INVALID_ARGUMENT",
            "'timeout': expected a string, number or boolean, received null",
        ),
        ({"parameters": {"timeout": {"int64_param": 1}}}, "DEADLINE_EXCEEDED", "timed out in the queue"),
        ({"inputs": []}, "INVALID_ARGUMENT", "expected the model's one input, received 0"),
        (
            {"tensor": {"contents": {"uint_contents": [0] * 31_000}}},
            "INVALID_ARGUMENT",
            "received more rows",
        ),  # M9
        ({"id": "x" * 70_000}, "INVALID_ARGUMENT", "at most 65536 bytes beside the tensor"),  # M1
        ({"model_name": "m" * 100_000}, "NOT_FOUND", "unknown model"),  # L5
        (
            {"model_name": "quirky", "tensor": {"contents": {}}, "raw_input_contents": [b"\xff" * 30]},
            "INTERNAL",
            "the model failed",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], code: str, expected: str, stub: Any, both: tuple[Server, str]
) -> None:
    """And counted, whoever of the front and the reader behind it refuses."""
    before = sum(scraped(both[0], "modelyard_refused_requests_total").values())
    failed = sum(scraped(both[0], "nv_inference_request_failure").values())
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(call(images(1), **changes))
    assert refused.value.code().name == code, refused.value.details()
    assert expected in refused.value.details()
    assert len(refused.value.details()) < 1100
    assert sum(scraped(both[0], "modelyard_refused_requests_total").values()) == before + 1
    assert sum(scraped(both[0], "nv_inference_request_failure").values()) == failed + (code != "NOT_FOUND")


@pytest.mark.parametrize(
    "name", ["", "a/b", "stats", "fruit/versions/2", "fruit/config", "fruit%2Fstats", "../fruit"]
)
@pytest.mark.parametrize("kind", ["ModelMetadata", "ModelConfig", "ModelReady", "ModelStatistics"])
def test_a_name_is_no_path(kind: str, name: str, stub: Any, reflected: Reflected) -> None:
    request = reflected.message(f"inference.{kind}Request", name=name)
    if kind == "ModelReady":
        assert not reflected.call(kind, request).ready
    elif name or kind != "ModelStatistics":  # of which no name is all
        with pytest.raises(grpc.RpcError, match=f"unknown model: '{name}'"):
            reflected.call(kind, request)


@pytest.mark.parametrize(
    "method", [f"{INFERENCE}/ModelInfer", f"{INFERENCE}/ServerLive", f"{HEALTH}/Check", f"{HEALTH}/Watch"]
)
def test_bytes_that_are_no_message_are_refused(method: str, address: str) -> None:
    with (
        grpc.insecure_channel(address) as channel,
        pytest.raises(grpc.RpcError, match="no message") as refused,
    ):
        list(channel.unary_stream(f"/{method}")(b"\xff\xff"))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_promotion_is_followed(fruit: Path, stub: Any) -> None:
    assert stub.ModelInfer(call(images(1), model_name="moved")).model_version == "1"
    point(fruit, "moved", "champion", 2)
    assert "2" in (stub.ModelInfer(call(images(1), model_name="moved")).model_version for _ in range(10_000))


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_both_reflections_name_the_services(version: str, address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        ask = channel.stream_stream(
            path, asked.__class__.SerializeToString, reflection_pb2.ServerReflectionResponse.FromString
        )
        (answer,) = ask(iter([asked]))
        assert {service.name for service in answer.list_services_response.service} == {INFERENCE, HEALTH}


@pytest.mark.parametrize(
    ("name", "fields", "path", "field"),
    [
        ("ServerMetadata", {}, "v2", ""),
        ("ModelMetadata", {"name": "fruit"}, "v2/models/fruit", ""),
        ("ModelConfig", {"name": "fruit", "version": "2"}, "v2/models/fruit/versions/2/config", "config"),
        ("ModelStatistics", {"name": "fruit"}, "v2/models/fruit/stats", ""),
        ("ModelStatistics", {}, "v2/models/stats", ""),
        ("RepositoryIndex", {"ready": True}, "v2/repository/index", "models"),
    ],
)
def test_grpc_tells_what_http_tells(
    name: str, fields: dict[str, Any], path: str, field: str, reflected: Reflected, http: httpx.Client
) -> None:
    answer = reflected.call(name, reflected.message(f"inference.{name}Request", **fields))
    found = http.post(path, json=fields) if field == "models" else http.get(path)
    told = {field: found.json()} if field else found.json()
    assert answer == ParseDict(told, type(answer)(), ignore_unknown_fields=True)
    assert answer.ByteSize() > 0


def test_a_stream_goes_on_after_an_error(reflected: Reflected) -> None:
    def request(number: int, **changes: Any) -> Any:
        text = call(images(1), id=str(number), **changes).SerializeToString()
        return type(reflected.message("inference.ModelInferRequest")).FromString(text)

    wrong: dict[int, dict[str, Any]] = {
        3: {"tensor": {"shape": [1, 2]}},
        5: {"model_name": "stone"},
        7: {"inputs": []},
    }
    answers = list(
        reflected.call(
            "ModelStreamInfer", iter([request(number, **wrong.get(number, {})) for number in range(9)])
        )
    )
    assert [answer.infer_response.id for answer in answers] == [str(number) for number in range(9)]
    assert {number for number, answer in enumerate(answers) if answer.error_message} == set(wrong)
    assert "unknown model" in answers[5].error_message
    assert all(answer.error_message or answer.infer_response.outputs for answer in answers)


@pytest.mark.parametrize(
    "name", ["SystemSharedMemoryRegister", "CudaSharedMemoryStatus", "TraceSetting", "LogSettings"]
)
def test_what_there_is_not_is_refused_by_name(name: str, reflected: Reflected) -> None:
    with pytest.raises(
        grpc.RpcError, match="shared memory, tracing and log settings are not supported"
    ) as refused:
        reflected.call(name)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_that_never_comes_is_not_waited_for(address: str) -> None:
    never = threading.Event()
    with grpc.insecure_channel(address) as channel:
        paths = (f"/{INFERENCE}/ModelInfer", f"/{HEALTH}/Watch")
        for asked in [channel.stream_stream(path)(iter(never.wait, True), timeout=10) for path in paths]:
            with pytest.raises(grpc.RpcError, match="no message within"):
                next(asked)
        never.set()


def test_http_and_grpc_have_one_state(
    both: tuple[Server, str], reflected: Reflected, stub: Any, http: httpx.Client
) -> None:
    def order(name: str, model: str, **fields: Any) -> None:
        reflected.call(name, reflected.message(f"inference.{name}Request", model_name=model, **fields))

    assert [reflected.health(name) for name in ("", INFERENCE, "fruit")] == [SERVING] * 3
    watch = reflected.call(
        "Watch", reflected.message("grpc.health.v1.HealthCheckRequest", service="fruit"), service=HEALTH
    )
    assert next(watch).status == SERVING
    assert http.post("v2/repository/models/fruit/unload").status_code == 200
    assert next(watch).status == NOT_SERVING
    watch.cancel()
    with pytest.raises(grpc.RpcError, match="unloaded") as refused:
        stub.ModelInfer(call(images(1)))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert [reflected.health(name) for name in ("", INFERENCE, "fruit", "moved")] == [NOT_SERVING] * 3 + [
        SERVING
    ]
    assert not stub.ServerReady(protocol.ServerReadyRequest()).ready

    server = both[0]
    before = server.workers()
    os.kill(before[-1], signal.SIGKILL)
    server.wait_for(lambda: len(server.workers()) == 2 and before[-1] not in server.workers())
    with pytest.raises(grpc.RpcError, match="unloaded"):  # also in the process that takes its place
        stub.ModelInfer(call(images(1)), wait_for_ready=True, timeout=20)
    with pytest.raises(grpc.RpcError, match="parameter"):
        order("RepositoryModelLoad", "fruit", parameters={"config": {"string_param": "{}"}})
    order("RepositoryModelLoad", "fruit")
    assert http.get("v2/health/ready").status_code == 200
    assert stub.ModelInfer(call(images(1))).model_version == "1"
    order("RepositoryModelUnload", "moved")
    assert http.get("v2/models/moved/ready").status_code >= 400
    order("RepositoryModelLoad", "moved")
    assert http.get("metrics").text.count('nv_inference_request_success{model="fruit",version="1"} 0') == 0


def test_unknown_names_have_no_health(reflected: Reflected) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        reflected.health("stone")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    watch = reflected.call(
        "Watch", reflected.message("grpc.health.v1.HealthCheckRequest", service="stone"), service=HEALTH
    )
    assert next(watch).status == SERVICE_UNKNOWN
    watch.cancel()
    assert reflected.call("List", service=HEALTH).statuses["fruit"].status == SERVING


def test_tokens_guard_all_but_health(fruit: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("open-sesame\nmove-it load\n")
    with serving(fruit, tmp_path / "log", "--token-file", str(tmp_path / "tokens")) as (server, address):
        with grpc.insecure_channel(address) as channel:
            assert channel.unary_unary(f"/{HEALTH}/Check")(b"") == b"\x08\x01"  # status: SERVING
            for path in (
                f"/{INFERENCE}/RepositoryIndex",
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            ):
                with pytest.raises(grpc.RpcError, match="authorization: Bearer"):
                    channel.unary_unary(path)(b"")
            unload = channel.unary_unary(f"/{INFERENCE}/RepositoryModelUnload")
            with pytest.raises(grpc.RpcError, match="load and unload are off") as refused:
                unload(b"\x12\x06quirky", metadata=(("authorization", "Bearer open-sesame"),))
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
            assert unload(b"\x12\x06quirky", metadata=(("authorization", "Bearer move-it"),)) == b""
        with connected(address) as stub:
            assert stub.ServerLive(protocol.ServerLiveRequest()).live
            with pytest.raises(grpc.RpcError, match="authorization: Bearer"):
                stub.ModelInfer(call(images(1)))
            metadata = (("authorization", "Bearer open-sesame"),)
            assert stub.ModelInfer(call(images(1)), metadata=metadata).model_name == "fruit"
        server.client.headers["authorization"] = "Bearer open-sesame"
        assert scraped(server, "modelyard_refused_requests_total") == {
            'reason="token"': 3,
            'reason="load"': 1,
        }


def test_a_taken_port_is_one_line(fruit: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [
            sys.executable,
            "-m",
            "modelyard.serving",
            "--releases",
            str(fruit),
            "--port",
            "0",
            "--grpc-port",
            port,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert (
        f"modelyard: cannot listen on 127.0.0.1:{port}: Address already in use; choose another --grpc-port"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc_health", None)
    with pytest.raises(ConfigError, match=r"--grpc-port needs .*grpc_health.*; install modelyard\[grpc\]"):
        read_options(["--grpc-port", "0"])
