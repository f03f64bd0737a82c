"""The graph of the linear model answers as scikit-learn does, to every text in any batch. K classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from modelyard.data.datasets import Split
from modelyard.errors import ConfigError
from modelyard.export.deployed import deployed, encoding_for
from modelyard.export.fronts.nasty import NASTY
from modelyard.inference.session import classify, open_session
from modelyard.models import LinearConfig
from modelyard.samples.signature import Signature
from modelyard.training.linear_fitted import LinearFitted
from tests.data.pages import PAGES, page_dataset
from tests.data.texts import text_split
from tests.training.test_linear import fitted_linear

LONGEST = 120
CONFIGS = {
    "both": LinearConfig(terms="both", cost=0.3),
    "letters": LinearConfig(terms="letters", letters=1, cost=1.0, weighting="idf"),
    "words": LinearConfig(terms="words", words=3, cost=1.0),
}


def _nasty() -> Split:
    texts = [text.replace("\0", "") for text in NASTY]
    return text_split(texts, [0] * len(texts), LONGEST)


@pytest.mark.parametrize("pages", [PAGES, PAGES[:2]])
@pytest.mark.parametrize("name", CONFIGS)
def test_answers_are_those_of_scikit_learn(name: str, pages: tuple[str, ...], tmp_path: Path) -> None:
    dataset = page_dataset(pages, LONGEST)
    fitted, _ = fitted_linear(dataset, tmp_path / "fitted", CONFIGS[name])
    session, signature = _exported(fitted, tmp_path / "model.onnx")
    model = deployed(fitted, 0.7)
    for split in (dataset.test, _nasty()):
        raw, expected_NK = signature.taken({}).raw(split.in_memory), model.probabilities(split)
        for batch_size in (1, 7, len(raw)):
            np.testing.assert_allclose(classify(session, raw, batch_size), expected_NK, atol=1e-5)


def test_an_empty_batch_of_empty_texts_is_answered(tmp_path: Path) -> None:
    fitted, _ = fitted_linear(page_dataset(), tmp_path / "fitted", CONFIGS["both"])
    session, signature = _exported(fitted, tmp_path / "model.onnx")
    raw = signature.taken({}).raw(text_split(["", ""], [0, 0], LONGEST).in_memory)
    probabilities_NK = classify(session, raw)
    assert probabilities_NK.shape == (2, len(PAGES)) and np.allclose(probabilities_NK.sum(1), 1)


def test_a_long_text_is_cut_in_the_graph(tmp_path: Path) -> None:
    fitted, _ = fitted_linear(page_dataset(), tmp_path / "fitted", CONFIGS["both"])
    session, _ = _exported(fitted, tmp_path / "model.onnx")
    line = "The graph of the model and its weights, in a folder of the store, is read by all servers. "
    long = np.array([[(3 * line)], [(3 * line)[:LONGEST]]], object)
    first_K, second_K = classify(session, long)
    np.testing.assert_allclose(first_K, second_K, atol=1e-6)


def test_strings_are_its_only_input(tmp_path: Path) -> None:
    fitted, _ = fitted_linear(page_dataset(), tmp_path / "fitted", CONFIGS["words"])
    with pytest.raises(ConfigError, match="expected strings for this model, received 'bytes'"):
        encoding_for(deployed(fitted, 1.0), "bytes")


def test_the_graph_has_stock_operators_and_says_what_it_is_told(tmp_path: Path) -> None:
    fitted, _ = fitted_linear(page_dataset(), tmp_path / "fitted", CONFIGS["both"])
    _exported(fitted, tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx")
    assert {opset.domain for opset in graph.opset_import} == {"", "ai.onnx.ml", "com.microsoft"}
    assert [output.name for output in graph.graph.output] == ["logits", "probabilities"]
    assert {entry.key: entry.value for entry in graph.metadata_props} == {"classes": "three"}


def _exported(fitted: LinearFitted, path: Path) -> tuple[object, Signature]:
    signature = Signature.of_classifier(fitted.build.form, len(fitted.build.classes), "strings")
    deployed(fitted, 0.7).write(path, signature, {"classes": "three"}, None)
    return open_session(path), signature
