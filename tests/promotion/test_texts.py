"""Versions that answer texts are compared as those of images are, through their released files."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from modelyard.bundle import open_bundle, write_manifest
from modelyard.console.tables import print_difference
from modelyard.data.packed import pack
from modelyard.home import Home
from modelyard.promotion import automatic
from modelyard.promotion.difference import difference
from modelyard.promotion.limits import GatesConfig
from modelyard.promotion.pairs import Pair
from modelyard.promotion.predictions import pair_up
from modelyard.registry import aliases
from modelyard.registry import versions as registry
from modelyard.tracking import runs
from tests.blank import Templates
from tests.data.texts import text_dataset
from tests.serving.text_bundles import CLASSES, Counts, write_text_bundle

COUNTS = Counts()
GOLDEN = ("abba", "", "a cab", "中文 abc")
TEXTS = [
    (letter * count + " é" * (count % 3), label)
    for label, letter in enumerate("abcd")
    for count in range(1, 16)
]


def forgetful() -> onnx.ModelProto:
    """The graph that never says the last class."""
    nodes = [helper.make_node("Mul", ["raw", "weight4"], ["logits"])]
    graph = COUNTS.graph(nodes)
    weights = onnx.numpy_helper.from_array(np.array([1, 1, 1, -1], np.float32), "weight4")
    graph.graph.initializer.append(weights)
    return graph


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    return templates.store(tmp_path_factory.mktemp("texts"))


def a_version(
    home: Home, key: str, validation: float, digest: str, graph: onnx.ModelProto | None = None
) -> registry.Version:
    bundle = write_text_bundle(home.steps / key, COUNTS, graph=graph, golden=GOLDEN)
    measured = {"test/accuracy": validation, "onnx/max_difference": 0.0}
    write_manifest(bundle, replace(open_bundle(bundle), data_digest=digest, metrics=measured))
    tags = {"modelyard.dataset": "letters", "modelyard.data_digest": digest, runs.STEPS_TAG: key}
    run_id = runs.start_run(home, key, name=key, params={}, tags=tags)
    model_id = registry.log_bundle(home, run_id, bundle)
    version_tags = {
        "label": "cnn", "data_digest": digest, "evaluation": "none",
        "validation_accuracy": repr(validation), "validation_nll": "0.1",
    }  # fmt: skip
    version = registry.register(home, run_id, bundle, model_id, version_tags)
    registry.publish(home, version, bundle)
    aliases.record(home, version)
    return version


def test_candidates_of_texts_are_judged_and_told_apart(home: Home) -> None:
    dataset = text_dataset(TEXTS, TEXTS, CLASSES, name="letters")
    data = home.data_step(dataset.digest)
    pack(dataset, data)
    first = a_version(home, "first", 0.9, dataset.digest)
    assert automatic.promote(home, [first], data, GatesConfig()).why == "first champion"
    second = a_version(home, "second", 0.95, dataset.digest, forgetful())
    verdict = automatic.promote(home, [second], data, GatesConfig())
    assert not verdict.promoted and "significantly worse on test (0 gained, 15 lost" in verdict.why
    overall = verdict.judgements[0].find("overall").evidence
    assert (overall["texts"], overall["lost"]) == (60, 15) and "images" not in overall
    told = difference(home, first, second)
    assert (told["samples"], told["mcnemar"]["texts"], told["changed_answers"]) == ("texts", 60, 15)
    example = {"test text": 45, "sample": "d é", "label": "dogs", "first": "dogs", "second": "ants"}
    assert told["examples"][0] == example
    with redirect_stdout(io.StringIO()) as out:
        print_difference(told)
    assert "of 60 test texts 15 are answered otherwise: 0 gained, 15 lost" in out.getvalue()
    assert "image" not in out.getvalue()


def test_texts_that_are_cut_elsewhere_are_not_compared(home: Home, tmp_path: Path) -> None:
    digest = text_dataset(TEXTS, TEXTS, CLASSES, name="letters").digest
    version = a_version(home, "third", 0.5, digest)
    for longest, expected in (
        (64, ""),
        (32, "texts of 32, characters at most, those of version 3 are of 64"),
    ):
        other = text_dataset(TEXTS[1:], TEXTS, CLASSES, name="letters", longest=longest)
        pack(other, tmp_path / str(longest))
        pair = pair_up(home, version, version, tmp_path / str(longest))
        assert pair == expected if expected else isinstance(pair, Pair)
