"""Clients that others wrote, with their defaults, beside tritonclient: the protocol's own and MLflow's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
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
        outputs = {one.name: np.array(one.data.dict()["__root__"]).reshape(one.shape) for one in answer.outputs}
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
    assert [(one.name, one.datatype, one.shape) for one in metadata.inputs or []] == [("images", "UINT8", [-1, *IMAGE_SHAPE])]
    assert [(one.name, one.shape) for one in metadata.outputs or []] == [
        ("logits", [-1, len(CLASSES)]),
        ("probabilities", [-1, len(CLASSES)]),
    ]


def test_the_generated_client_understands_refusals(generated: OpenInferenceClient) -> None:
    with pytest.raises(BadRequestError, match="unexpected input 'pictures'"):
        generated.model_infer("fruit", request=question(1, name="pictures"))
    with pytest.raises(ApiError, match=r"404, .*unknown model: 'stone'"):  # the protocol's document knows no 404 here
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
