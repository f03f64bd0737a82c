"""MLflow's scoring protocol: the same bytes as MLflow's own server on the same model."""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from modelyard.errors import RequestError
from modelyard.serving.http.exchange import Request
from modelyard.serving.http.limits import Limits
from modelyard.serving.protocol.inputs import Numbers
from modelyard.serving.protocol.invocations import error_answer, read_rows
from tests.serving.bundles import CLASSES, IMAGE_SHAPE, Linear, images

JSON = {"Content-Type": "application/json"}


class Reference:
    """MLflow's application, asked without a network."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._application)
            async with httpx.AsyncClient(transport=transport, base_url="http://mlflow") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def reference(linear: Linear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    """MLflow's own scoring server in this process."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own type hints while it is imported
        import mlflow.onnx
        from mlflow.models import ModelSignature
        from mlflow.pyfunc import load_model, scoring_server
        from mlflow.types import ColSpec, Schema, TensorSpec

        outputs: list[ColSpec | TensorSpec] = [
            TensorSpec(np.dtype(np.float32), (-1, len(CLASSES)), name) for name in ("logits", "probabilities")
        ]
        inputs: list[ColSpec | TensorSpec] = [TensorSpec(np.dtype(np.uint8), (-1, *IMAGE_SHAPE), "images")]
        folder = tmp_path_factory.mktemp("mlflow") / "model"
        mlflow.onnx.save_model(
            linear.graph(),
            str(folder),
            signature=ModelSignature(Schema(inputs), Schema(outputs)),
            save_as_external_data=False,
            pip_requirements=["onnxruntime"],
            onnx_execution_providers=["CPUExecutionProvider"],
        )
        patch.setattr(os, "environ", dict(os.environ))  # MLflow sets variables for a serving process
        yield Reference(scoring_server.init(load_model(str(folder))))


def post(client: httpx.Client | Reference, payload: Any, headers: dict[str, str] = JSON) -> httpx.Response:
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return client.request("POST", "/invocations", content=content, headers=headers)


ROWS = images(2).tolist()
FLAT = images(2).reshape(2, -1).tolist()
ANSWERED: dict[str, Any] = {
    "inputs": {"inputs": ROWS},
    "named inputs": {"inputs": {"images": ROWS}},
    "instances": {"instances": ROWS},
    "named instances": {"instances": [{"images": row} for row in ROWS]},
    "params": {"inputs": ROWS, "params": {}},
    "split": {"dataframe_split": {"columns": ["images"], "data": [[row] for row in FLAT]}},
    "records": {"dataframe_records": [{"images": row} for row in FLAT]},
    "whole floats": {"inputs": images(1).astype(float).tolist()},
    "byte order mark": b"\xef\xbb\xbf" + json.dumps({"inputs": ROWS}).encode(),
}


@pytest.mark.parametrize("payload", ANSWERED.values(), ids=ANSWERED.keys())
def test_answers_are_the_same_bytes(client: httpx.Client, reference: Reference, payload: Any) -> None:
    theirs, ours = post(reference, payload), post(client, payload)
    assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert theirs.status_code == 200


REFUSED: dict[str, Any] = {
    "malformed": b"{",
    "list": [1],
    "nothing": {},
    "two forms": {"inputs": ROWS, "instances": ROWS},
    "other key": {"data": ROWS},
    "shape": {"inputs": FLAT},
    "one image": {"inputs": ROWS[0]},
    "wrong name": {"inputs": {"x": ROWS}},
    "ragged": {"inputs": [ROWS[0], ROWS[0][:2]]},
    "out of range": {"inputs": (images(1).astype(int) + 256).tolist()},
    "text": {"inputs": "abc"},
    "split is no frame": {"dataframe_split": [1]},
    "number": {"inputs": 5},
    "empty": {"inputs": []},
    "nested cells": {"dataframe_records": [{"images": row} for row in ROWS]},
    "short cells": {"dataframe_records": [{"images": [1]}]},
    "wrong column": {"dataframe_records": [{"x": 1}]},
    "no record": {"dataframe_records": [5]},
    "null": {"inputs": None},
    "null cell": {"dataframe_records": [{"images": None}]},
    "no columns": {"dataframe_split": {"data": [[FLAT[0]]]}},
}


@pytest.mark.parametrize("payload", REFUSED.values(), ids=REFUSED.keys())
def test_refusals_have_the_same_status_and_code(
    client: httpx.Client, reference: Reference, payload: Any
) -> None:
    theirs, ours = post(reference, payload), post(client, payload)
    assert (ours.status_code, ours.json()["error_code"]) == (theirs.status_code, theirs.json()["error_code"])
    assert ours.json()["error"] == ours.json()["message"]


@pytest.mark.parametrize(
    ("method", "status", "code"), [("GET", 405, "BAD_REQUEST"), ("PUT", 405, "BAD_REQUEST")]
)
def test_only_faults_are_internal_errors(client: httpx.Client, method: str, status: int, code: str) -> None:
    """W14."""
    answer = client.request(method, "/invocations")
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    codes = {
        status: json.loads(error_answer(RequestError("", status)).body)["error_code"]
        for status in (401, 403, 413, 415, 500)
    }
    assert codes == {
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        413: "BAD_REQUEST",
        415: "BAD_REQUEST",
        500: "INTERNAL_ERROR",
    }


def every_form(value: Any) -> dict[str, tuple[str, Any]]:
    """One value after the pixels, by each route and form that has numbers in JSON."""
    flat = [*FLAT[0][:-1], value]
    nested = [[flat[10 * row + 2 * column :][:2] for column in range(5)] for row in range(3)]
    entry = {"name": "images", "datatype": "UINT8", "shape": [1, *IMAGE_SHAPE]}
    return {
        "V2": ("/v2/models/fruit/infer", {"inputs": [entry | {"data": flat}]}),
        "V2 nested": ("/v2/models/fruit/infer", {"inputs": [entry | {"data": [nested]}]}),
        "inputs": ("/invocations", {"inputs": [nested]}),
        "named inputs": ("/invocations", {"inputs": {"images": [nested]}}),
        "instances": ("/invocations", {"instances": [nested]}),
        "rows": ("/invocations", {"instances": [{"images": nested}]}),
        "records": ("/invocations", {"dataframe_records": [{"images": flat}]}),
        "split": ("/invocations", {"dataframe_split": {"columns": ["images"], "data": [[flat]]}}),
        "flat": ("/invocations", {"inputs": [flat]}),
    }


@pytest.mark.parametrize("form", every_form(0))
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.12, "0.12"),
        (-1, "-1"),
        (256, "256"),
        (-0.5, "-0.5"),
        (255.5, "255.5"),
        (1e300, "1e+300"),
        (10**30, "1e+30"),
        (float("nan"), "NaN"),
        (float("-inf"), "Infinity"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("7", "'7'"),
        ("iVBORw0KGgo" * 1000, "'iVBORw0KGgo"),
        ({"a": 1}, "an object of 1 keys"),
    ],
)
def test_a_value_that_is_no_pixel_is_named_by_every_route(
    client: httpx.Client, form: str, value: Any, shown: str
) -> None:
    """5: normalised pixels are the commonest mistake of all, and none of them is cut to an integer in
    silence.
    """
    path, payload = every_form(value)[form]
    answer = client.post(path, content=json.dumps(payload).encode(), headers=JSON)
    told = answer.json()["error"]
    assert answer.status_code == 400 and len(told) < 400 and shown in told, told
    assert ("images: expected integers 0 to 255" in told) is (shown not in {"NaN", "Infinity"}), told


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "application/json;charset=latin-1",
        "text/plain",
        "application/json; q=1",
    ],
)
def test_content_types_are_judged_alike(
    client: httpx.Client, reference: Reference, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    theirs, ours = post(reference, {"inputs": ROWS}, headers), post(client, {"inputs": ROWS}, headers)
    assert (ours.status_code, ours.headers["content-type"]) == (
        theirs.status_code,
        theirs.headers["content-type"],
    )


def test_tables_and_untyped_bodies_are_415(client: httpx.Client) -> None:
    for headers in ({"Content-Type": "text/csv"}, {"Content-Type": "application/vnd.apache.parquet"}, {}):
        assert post(client, b"a,b", headers).status_code == 415


@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_health_and_version_are_the_same_bytes(client: httpx.Client, reference: Reference, path: str) -> None:
    theirs, ours = reference.request("GET", path), client.get(path)
    assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    assert ours.headers["content-type"] == theirs.headers["content-type"]


def test_another_model_can_be_named(client: httpx.Client, releases: Path) -> None:
    answer = client.post("/invocations?model=fruit-rnn", json={"inputs": ROWS}).json()
    np.testing.assert_allclose(answer["predictions"]["logits"], Linear.seeded(2).logits(images(2)), atol=1e-4)
    assert client.post("/invocations?model=nobody", json={"inputs": ROWS}).status_code == 404


SPEC = Numbers("images", "UINT8", np.dtype(np.uint8), (2, 3, 1))


def refusal(payload: Any) -> str:
    with pytest.raises(RequestError) as caught:
        read_rows(
            Request("POST", "/invocations", b"", {}, json.dumps(payload).encode()),
            SPEC,
            Limits.of(SPEC, 7, 8_000_000),
        )
    assert caught.value.status == 400
    return str(caught.value)


@pytest.mark.parametrize(
    "value", ["9" * 5000, None, {}, [[1]], "\n" * 5000], ids=["digits", "null", "object", "lists", "text"]
)
def test_what_is_no_number_is_refused_in_every_form(value: Any) -> None:
    """H3, L5: before numpy sees it, and in a short line."""
    flat = [value, 2, 3, 4, 5, 6]
    nested = [[[value], [2], [3]], [[4], [5], [6]]]
    for payload in (
        {"inputs": [nested]},
        {"instances": [{"images": nested}]},
        {"dataframe_records": [{"images": flat}]},
        {"inputs": flat},
        {"dataframe_split": {"columns": ["images"], "data": [[flat]]}},
        {"inputs": value},
        {str(value): 1},
    ):
        assert len(refusal(payload)) < 400


def test_every_form_has_the_limit_of_rows() -> None:
    """M9: as V2 has it, and before anything is converted."""
    for payload in (
        {"inputs": [0] * 900},
        {"instances": [{"images": 0}] * 900},
        {"dataframe_records": [{"images": 0}] * 900},
        {"dataframe_split": {"columns": ["images"], "data": [[0]] * 900}},
    ):
        assert refusal(payload) == "expected 1 to 7 rows, received 900"


def test_the_limits_hold_on_the_route(client: httpx.Client) -> None:
    """M9, L1, L5: asked of a real server."""
    answer = post(client, {"dataframe_records": [{"images": 0}] * 5000})
    assert (answer.status_code, answer.json()["error"]) == (400, "expected 1 to 1024 rows, received 5000")
    deep = b"[" * 1000 + b"]" * 1000
    for path, body in (
        ("/v2/repository/index", b'{"ready":%s}'),
        ("/v2/models/fruit/infer", b'{"inputs":[{"name":%s}]}'),
    ):
        answer = client.post(path, content=body % deep)
        assert (answer.status_code, len(answer.text) < 400) == (400, True)
    assert client.post("/v2/repository/index", content=b" " * 20_000).status_code == 413
    assert len(client.get("/v2/models/" + "m" * 20_000).text) < 1100
