"""Clients that others wrote, with their defaults, beside tritonclient: the protocol's own and MLflow's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as asynchronous
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from open_inference.openapi.client import OpenInferenceClient
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.errors import BadRequestError
from open_inference.openapi.types import InferenceRequest

from tests.serving.bundles import CLASSES, IMAGE_SHAPE, Linear, images
from tests.serving.conftest import Server


@pytest.fixture(scope="module")
def generated(server: Server) -> Iterator[OpenInferenceClient]:
    """Generated from the protocol's OpenAPI document."""
    with httpx.Client() as transport:
        yield OpenInferenceClient(base_url=server.url, httpx_client=transport)


def question(count: int, name: str = "images") -> InferenceRequest:
    data = images(count).reshape(-1).tolist()
    entry = {"name": name, "shape": [count, *IMAGE_SHAPE], "datatype": "UINT8", "data": data}
    return InferenceRequest.parse_obj({"id": "7", "inputs": [entry]})


def test_the_generated_client_gets_right_answers(generated: OpenInferenceClient, linear: Linear) -> None:
    for answer, expected in (
        (generated.model_infer("fruit", request=question(3)), linear),
        (generated.model_version_infer("fruit", "2", request=question(3)), Linear.seeded(2)),
    ):
        outputs = {
            one.name: np.array(one.data.dict()["__root__"]).reshape(one.shape) for one in answer.outputs
        }
        np.testing.assert_allclose(outputs["probabilities"], expected.probabilities(images(3)), atol=1e-5)
        np.testing.assert_allclose(outputs["logits"], expected.logits(images(3)), atol=1e-4)
        assert (answer.model_name, answer.id) == ("fruit", "7")


def test_the_generated_client_sees_a_whole_server(generated: OpenInferenceClient) -> None:
    generated.check_server_liveness()
    generated.check_server_readiness()
    generated.check_model_readiness("fruit")
    generated.check_model_version_readiness("fruit", "2")
    assert generated.read_server_metadata().name == "modelyard"
    metadata = generated.read_model_metadata("fruit")
    assert [(one.name, one.datatype, one.shape) for one in metadata.inputs or []] == [
        ("images", "UINT8", [-1, *IMAGE_SHAPE])
    ]
    assert [(one.name, one.shape) for one in metadata.outputs or []] == [
        ("logits", [-1, len(CLASSES)]),
        ("probabilities", [-1, len(CLASSES)]),
    ]


def test_the_generated_client_understands_refusals(generated: OpenInferenceClient) -> None:
    with pytest.raises(BadRequestError, match="unexpected input 'pictures'"):
        generated.model_infer("fruit", request=question(1, name="pictures"))
    with pytest.raises(
        ApiError, match=r"404, .*unknown model: 'stone'"
    ):  # the protocol's document knows no 404 here
        generated.read_model_metadata("stone")


def test_mlflows_client_gets_right_answers(server: Server, linear: Linear) -> None:
    host, port = server.address.rsplit(":", 1)
    client: Any = ScoringServerClient(host, port)  # type: ignore[no-untyped-call]
    client.wait_server_ready()
    assert client.get_version()
    frame = pd.DataFrame({"images": images(3).reshape(3, -1).tolist()})
    for given in (images(3), images(3).tolist(), frame):
        predictions = client.invoke(given)["predictions"]
        np.testing.assert_allclose(predictions["probabilities"], linear.probabilities(images(3)), atol=1e-5)
        np.testing.assert_allclose(predictions["logits"], linear.logits(images(3)), atol=1e-4)
    with pytest.raises(Exception, match=r"Invocation failed \(error code 400"):
        client.invoke(images(3)[0])


def ask_asynchronously(server: Server, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    """What Triton's asynchronous client makes of the answer to one call."""

    async def call() -> Any:
        async with asynchronous.InferenceServerClient(server.address) as client:
            return await ask(client)

    return asyncio.run(call())


def tensor(count: int) -> Any:
    return triton.InferInput("images", [count, *IMAGE_SHAPE], "UINT8").set_data_from_numpy(images(count))


ASYNCHRONOUS: dict[str, tuple[Callable[[Any], Awaitable[Any]], Callable[[Any], bool]]] = {
    "live": (lambda client: client.is_server_live(), bool),
    "ready": (lambda client: client.is_server_ready(), bool),
    "model ready": (lambda client: client.is_model_ready("fruit", "2"), bool),
    "model not ready": (lambda client: client.is_model_ready("stone"), lambda found: found is False),
    "server": (lambda client: client.get_server_metadata(), lambda found: found["name"] == "modelyard"),
    "model": (
        lambda client: client.get_model_metadata("fruit"),
        lambda found: found["versions"] == ["1", "2"],
    ),
    "config": (
        lambda client: client.get_model_config("fruit"),
        lambda found: found["max_batch_size"] == 1024,
    ),
    "index": (lambda client: client.get_model_repository_index(), lambda found: found[0]["state"] == "READY"),
    "statistics": (
        lambda client: client.get_inference_statistics("fruit", "1"),
        lambda found: len(found["model_stats"]) == 1,
    ),
    "all statistics": (
        lambda client: client.get_inference_statistics(),
        lambda found: len(found["model_stats"]) > 1,
    ),
}


@pytest.mark.parametrize(("ask", "is_right"), ASYNCHRONOUS.values(), ids=ASYNCHRONOUS.keys())
def test_tritons_asynchronous_client_reads_every_answer(
    server: Server, ask: Callable[[Any], Awaitable[Any]], is_right: Callable[[Any], bool]
) -> None:
    """4: it asks for gzip by itself and unpacks answers of infer alone."""
    assert is_right(ask_asynchronously(server, ask))


@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
def test_tritons_asynchronous_client_gets_right_answers(
    server: Server, linear: Linear, packed: str | None
) -> None:
    options = {"request_compression_algorithm": packed, "response_compression_algorithm": packed}
    for count in (1, 50):
        sent = [tensor(count)]
        result = ask_asynchronously(server, lambda client, sent=sent: client.infer("fruit", sent, **options))  # type: ignore[misc]
        np.testing.assert_allclose(
            result.as_numpy("probabilities"), linear.probabilities(images(count)), atol=1e-5
        )


def in_shared_memory(tensor: Any) -> Any:
    tensor.set_shared_memory("region", 40)
    return tensor


LOGITS = "logits"
MISTAKES: dict[str, tuple[Callable[[Any], Awaitable[Any]], str]] = {
    "unknown model": (
        lambda client: client.get_model_metadata("stone"),
        "unknown model: 'stone' is not found",
    ),
    "unknown version": (lambda client: client.get_model_config("fruit", "9"), "no version '9'"),
    "load": (lambda client: client.load_model("fruit"), "--allow-load"),
    "unload": (lambda client: client.unload_model("fruit"), "--allow-load"),
    "rows": (lambda client: client.infer("fruit", [tensor(1025)]), "expected 1 to 1024 rows, received 1025"),
    "input": (
        lambda client: client.infer("fruit", [in_shared_memory(tensor(1))]),
        "shared memory is not supported",
    ),
    "output": (
        lambda client: client.infer(
            "fruit", [tensor(1)], outputs=[in_shared_memory(triton.InferRequestedOutput(LOGITS))]
        ),
        "shared memory is not supported",
    ),
    "register": (
        lambda client: client.register_system_shared_memory("r", "k", 8),
        "shared memory is not supported",
    ),
    "unregister": (
        lambda client: client.unregister_system_shared_memory("r"),
        "shared memory is not supported",
    ),
    "status": (lambda client: client.get_system_shared_memory_status(), "shared memory is not supported"),
    "cuda status": (lambda client: client.get_cuda_shared_memory_status(), "shared memory is not supported"),
    "cuda unregister": (
        lambda client: client.unregister_cuda_shared_memory(),
        "shared memory is not supported",
    ),
    "trace": (lambda client: client.get_trace_settings(), "nothing at /v2/trace/setting"),
    "log": (lambda client: client.update_log_settings({}), "nothing at /v2/logging"),
}


@pytest.mark.parametrize(("ask", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_tritons_asynchronous_client_reads_every_error(
    server: Server, ask: Callable[[Any], Awaitable[Any]], told: str
) -> None:
    with pytest.raises(triton.InferenceServerException) as caught:
        ask_asynchronously(server, ask)
    assert told in str(caught.value)
