"""MLflow gets from a registered model of texts what the graph answers: [N, K] of whatever it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import mlflow
import mlflow.onnx
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import invocations

from modelyard.bundle import as_json, read_bundle
from modelyard.home import Home
from modelyard.inference.session import classify, open_session
from modelyard.registry import versions as registry
from modelyard.samples.text_encodings import strings
from modelyard.tracking import runs
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.serving.text_bundles import GOLDEN, TEXTS, Counts, write_text_bundle
from tests.test_consumers import MLFLOW_OF_TEXTS

COUNTS = Counts()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    return templates.store(tmp_path_factory.mktemp("store"))


def logged(home: Home, encoding: str) -> tuple[Path, registry.Version]:
    """The artifacts of a version, and what was registered."""
    bundle = write_text_bundle(home.steps / encoding, COUNTS, encoding=encoding, model_name=encoding)
    tags = {"modelyard.dataset": encoding, "modelyard.data_digest": "0123abcd", runs.STEPS_TAG: encoding}
    run_id = runs.start_run(home, encoding, name=encoding, params={}, tags=tags)
    model_id = registry.log_bundle(home, run_id, bundle)
    version = registry.register(home, run_id, bundle, model_id, {"data_digest": "0123abcd"})
    client, _ = open_store(home)
    return Path(client.get_logged_model(model_id).artifact_location), version


@pytest.fixture(scope="module")
def of_strings(home: Home) -> tuple[Path, registry.Version]:
    return logged(home, "strings")


def test_mlflow_answers_in_rows_and_classes(home: Home, of_strings: tuple[Path, registry.Version]) -> None:
    folder, version = of_strings
    model, manifest = mlflow.pyfunc.load_model(str(folder)), read_bundle(home.steps / "strings").manifest
    array = np.array(TEXTS)[:, None]
    tables: list[Any] = [pd.DataFrame({"texts": TEXTS}), pd.DataFrame({"texts": pd.array(TEXTS, "string")})]
    for given in [{"texts": array}, array, *tables]:
        found = model.predict(given)["probabilities"]
        assert found.shape == (len(TEXTS), 4)
        np.testing.assert_allclose(found, COUNTS.probabilities(TEXTS), atol=1e-6)
    wrong: list[Any] = [
        list(TEXTS),
        np.array(TEXTS),
        np.array([[b"abc"]]),
        tables[0].rename(columns={"texts": "t"}),
    ]
    for given in wrong:  # refused, never answered in another shape
        with pytest.raises(MlflowException):
            model.predict(given)
    np.testing.assert_array_equal(model.input_example["texts"], [[GOLDEN[0]]])
    assert model.metadata.metadata["classes"] == list(manifest.classes)
    assert model.metadata.metadata["text_contract"] == json.loads(as_json(manifest.contract()))
    assert version.tags["text_contract"] == as_json(manifest.contract())
    told = str(open_store(home)[0].get_model_version("strings", str(version.number)).description)
    assert '.predict({"texts": strings})["probabilities"]' in told and "str [N, 1] of numpy" in told
    graph = mlflow.onnx.load_model(str(folder))
    found = classify(open_session(graph.SerializeToString()), strings(TEXTS))
    np.testing.assert_allclose(found, COUNTS.probabilities(TEXTS), atol=1e-6)


def test_mlflow_takes_texts_as_the_page_says(of_strings: tuple[Path, registry.Version]) -> None:
    folder, _ = of_strings
    known: dict[str, Any] = {"mlflow": mlflow, "pd": pd}
    exec(MLFLOW_OF_TEXTS.replace("models:/trec@champion", str(folder)), known)
    right = COUNTS.probabilities(tuple(known["table"]["texts"]))
    np.testing.assert_allclose(known["probabilities"], right, atol=1e-6)
    schema, asked = known["model"].metadata.get_input_schema(), cast(Any, invocations)
    for form in ("inputs", "instances"):
        body = json.dumps({form: known["table"].to_numpy().tolist()})
        answer = asked(body, "application/json", known["model"], schema)
        found = json.loads(answer.response)["predictions"]["probabilities"]
        np.testing.assert_allclose(found, right, atol=1e-6)
        with pytest.raises(MlflowException):
            asked(json.dumps({form: TEXTS}), "application/json", known["model"], schema)


def test_mlflow_answers_bytes_padded_with_zeros(home: Home) -> None:
    folder, _ = logged(home, "bytes")
    golden, probabilities_BK = read_bundle(home.steps / "bytes").samples()
    model = mlflow.pyfunc.load_model(str(folder))
    np.testing.assert_allclose(model.predict({"bytes": golden})["probabilities"], probabilities_BK, atol=1e-6)
    np.testing.assert_array_equal(model.input_example["bytes"], golden[:1])
