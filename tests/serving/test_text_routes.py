"""Texts over MLflow's scoring protocol, and over `/predict` as people send them."""

from __future__ import annotations

import json
import os
import unicodedata
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from tests.serving.conftest import Server
from tests.serving.test_invocations import JSON, Reference, post
from tests.serving.text_bundles import CLASSES, TEXTS, Counts

COUNTS = Counts()
TWO = ["a bad cab", "中文 dad 🎈"]
FORMS: dict[str, Any] = {
    "inputs": {"inputs": TWO},
    "named inputs": {"inputs": {"texts": TWO}},
    "records in inputs": {"inputs": [{"texts": text} for text in TWO]},
    "one named": {"inputs": {"texts": TWO[0]}},
    "instances": {"instances": TWO},
    "named instances": {"instances": [{"texts": text} for text in TWO]},
    "split": {"dataframe_split": {"columns": ["texts"], "data": [[text] for text in TWO]}},
    "split with index": {
        "dataframe_split": {"index": [0, 1], "columns": ["n", "texts"], "data": [[1, text] for text in TWO]}
    },
    "records": {"dataframe_records": [{"texts": text} for text in TWO]},
}
PREDICT, BYTES = "/predict?model=letters", "/predict?model=letters-transformer"
SUBWORDS = "/predict?model=letters-bert"
PLAIN = {"Content-Type": "text/plain"}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    """MLflow's own scoring server, for a model whose signature is one column of strings."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
        import mlflow.pyfunc.utils.data_validation as hints
        from mlflow.models import ModelSignature
        from mlflow.pyfunc import load_model, scoring_server
        from mlflow.pyfunc.model import PythonModel
        from mlflow.types import ColSpec, Schema

        patch.setattr(hints, "color_warning", lambda *_, **__: None)  # it advises them

        class Counting(PythonModel):
            def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
                """Without hints: MLflow would check data by them."""
                given = model_input["texts"].tolist()
                return {"logits": COUNTS.logits(given), "probabilities": COUNTS.probabilities(given)}

        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")  # of the class above; we forbid it
        folder = str(tmp_path_factory.mktemp("mlflow") / "model")
        signature = ModelSignature(Schema([ColSpec("string", "texts")]))
        mlflow.pyfunc.save_model(folder, python_model=Counting(), signature=signature, pip_requirements=[])
        patch.setattr(os, "environ", dict(os.environ))  # MLflow sets variables for a serving process
        yield Reference(scoring_server.init(load_model(folder)))


@pytest.mark.parametrize("payload", FORMS.values(), ids=FORMS.keys())
def test_every_form_is_read_as_mlflow_reads_it(
    asked: httpx.Client, reference: Reference, payload: Any
) -> None:
    theirs, ours = post(reference, payload), post(asked, payload)
    assert (ours.status_code, theirs.status_code) == (200, 200), ours.text
    for name, values in theirs.json()["predictions"].items():
        np.testing.assert_allclose(ours.json()["predictions"][name], values, atol=1e-6)


REFUSED: dict[str, Any] = {
    "wrong name": {"inputs": {"x": TWO}},
    "wrong column": {"dataframe_records": [{"x": "a"}]},
    "two forms": {"inputs": TWO, "instances": TWO},
    "empty": {"inputs": []},
}


@pytest.mark.parametrize("payload", REFUSED.values(), ids=REFUSED.keys())
def test_refusals_have_mlflows_status_and_code(
    asked: httpx.Client, reference: Reference, payload: Any
) -> None:
    theirs, ours = post(reference, payload), post(asked, payload)
    assert (ours.status_code, ours.json()["error_code"]) == (theirs.status_code, theirs.json()["error_code"])


def test_mlflows_client_gets_right_answers(texts: Server) -> None:
    host, port = texts.address.rsplit(":", 1)
    client: Any = ScoringServerClient(host, port)  # type: ignore[no-untyped-call]
    for given in (pd.DataFrame({"texts": TEXTS}), [*TEXTS], np.array(TEXTS, object)):
        found = client.invoke(given)["predictions"]["probabilities"]
        np.testing.assert_allclose(found, COUNTS.probabilities(TEXTS), atol=1e-5)


def test_files_of_texts_are_read(asked: httpx.Client) -> None:
    answer = asked.post("/invocations", json={"instances": [{"b64": "ZGFk"}, {"b64": "77u/Y2Fi"}]})
    found = answer.json()["predictions"]["probabilities"]
    np.testing.assert_allclose(found, COUNTS.probabilities(["dad", "cab"]), atol=1e-5)
    answer = asked.post("/invocations", json={"instances": [{"b64": "ZGFk"}, {"b64": "6Q=="}]})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    assert "row 1 is not UTF-8" in answer.json()["error"]


def is_for(answer: dict[str, Any], given: str) -> None:
    (expected_K,) = COUNTS.probabilities([unicodedata.normalize("NFC", given)])
    assert answer["label"] == CLASSES[int(expected_K.argmax())]
    assert answer["probability"] == pytest.approx(float(expected_K.max()), abs=1e-5)
    np.testing.assert_allclose([answer["probabilities"][name] for name in CLASSES], expected_K, atol=1e-5)


ONE: dict[str, tuple[bytes, dict[str, str]]] = {
    "plain": ("dad 中文".encode(), PLAIN),
    "as curl sends it": ("dad 中文".encode(), {"Content-Type": "application/x-www-form-urlencoded"}),
    "without a type": ("dad 中文".encode(), {}),
    "with a byte order mark": ("\ufeffdad 中文".encode(), PLAIN),
    "json": ('"dad 中文"'.encode(), JSON),
    "with its charset": ("dad 中文".encode(), {"Content-Type": 'text/plain; charset="UTF-8"'}),
}


@pytest.mark.parametrize("path", [PREDICT, BYTES, SUBWORDS])
@pytest.mark.parametrize(("body", "headers"), ONE.values(), ids=ONE.keys())
def test_one_text_in_every_way(asked: httpx.Client, path: str, body: bytes, headers: dict[str, str]) -> None:
    answer = asked.post(path, content=body, headers=headers).json()
    is_for(answer, "dad 中文")
    assert answer["model"] == path.partition("=")[2] and answer["ms"] > 0 and "warnings" not in answer


def test_a_file_of_a_form(asked: httpx.Client) -> None:
    is_for(asked.post(PREDICT, files={"file": ("review.txt", b"a bad cab")}).json(), "a bad cab")
    answer = asked.post(PREDICT, files={"file": (None, "dad")})
    assert answer.status_code == 400 and "curl -F file=@review.txt URL/predict" in answer.json()["error"]


@pytest.mark.parametrize("path", [PREDICT, BYTES, SUBWORDS])
def test_a_list_in_json(asked: httpx.Client, path: str) -> None:
    body = json.dumps(TEXTS).encode()
    for headers in (JSON, {}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = asked.post(path, content=body, headers=headers).json()
        for found, given in zip(answer["predictions"], TEXTS, strict=True):
            is_for(found, given)
    assert asked.post(path, content=body, headers=PLAIN).json()["label"]  # then it is one text
    is_for(asked.post(path, content=b"[dad] said").json(), "[dad] said")


def test_texts_are_brought_to_form_c_before_they_are_cut(asked: httpx.Client) -> None:
    """64 accented letters are 128 characters as they come, and 64 as the model reads them."""
    apart = unicodedata.normalize("NFD", "é" * 63 + "d")
    answer = asked.post(PREDICT, content=apart.encode(), headers=PLAIN).json()
    assert answer["label"] == "dogs"


def test_what_may_be_worthless_is_told(asked: httpx.Client) -> None:
    """In the words of `modelyard predict`."""
    (told,) = asked.post(PREDICT, content=b" \n", headers=PLAIN).json()["warnings"]
    assert told.startswith("the text is empty")
    first, second = asked.post(PREDICT, json=["a cab", "b" * 65]).json()["predictions"]
    assert "warnings" not in first
    told = "the text has 65 characters, of which the model reads the first 64"
    assert second["warnings"] == [told]


WRONG: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "latin-1": ("café".encode("latin-1"), PLAIN, 400, "row 0 is not UTF-8 (byte 3 is 0xe9); send UTF-8"),
    "utf-16": ("dad".encode("utf-16"), PLAIN, 400, "row 0 is not UTF-8 (byte 0 is 0xff)"),
    "a picture": (b"\x89PNG\r\n\x1a\n", {}, 400, "row 0 is not UTF-8"),
    "NUL": (b"a\0b", PLAIN, 400, "row 0: a text holds the character NUL; remove it"),
    "another charset": (b"dad", {"Content-Type": "text/plain; charset=gbk"}, 415, "expected UTF-8"),
    "no list of texts": (b'["a", 5]', JSON, 400, "expected a text, or a list of texts"),
    "an object": (b'{"texts": ["a"]}', JSON, 400, "received an object of 1 keys"),
    "an empty list": (b"[]", JSON, 400, "expected a text, or a list of texts"),
    "no JSON": (b"dad", JSON, 400, "the body is not JSON"),
    "many": (json.dumps(["a"] * 1025).encode(), JSON, 400, "expected 1 to 1024 rows, received 1025"),
    "a book": (b"a" * (2**20 + 1), PLAIN, 413, "the model reads its first 64 characters"),
    "a book in a list": (json.dumps(["a", "b" * (2**20 + 1)]).encode(), JSON, 413, "in row 1; the model"),
}


@pytest.mark.parametrize(("body", "headers", "status", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_read_is_told_in_a_line(
    asked: httpx.Client, body: bytes, headers: dict[str, str], status: int, told: str
) -> None:
    answer = asked.post(PREDICT, content=body, headers=headers)
    assert answer.status_code == status and told in answer.json()["error"], answer.text
