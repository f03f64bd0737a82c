"""A build that begins with an encoder of texts: from its folder to a released model asked by strings."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from modelyard.bundle import read_bundle
from modelyard.errors import ConfigError
from modelyard.export.fronts.nasty import NASTY
from modelyard.home import Home
from modelyard.inference.model import Model
from modelyard.inference.session import classify, open_session
from modelyard.recipes.request import compare_request
from modelyard.recipes.words import Words
from modelyard.samples.subwords import TOKENIZER_FILE
from modelyard.steps.memory import check_memory
from modelyard.steps.nodes import nodes, train_node
from modelyard.steps.preparation import build_requests, check_model, prepare
from modelyard.steps.requests import BuildRequest
from modelyard.training.fits import open_fitted
from tests.data.encoders import write_encoder
from tests.data.texts import text_split
from tests.steps.test_brought_weights import do, home, recipe_of, words

__all__ = ["home"]
FEW = ("training.optimizer.learning_rate=3e-3",)


def build_of(asked: Words, home: Home) -> BuildRequest:
    """Of the network, beside which there is the linear model."""
    request = compare_request(asked).model_copy(update={"in_process": True})
    builds = build_requests(request, prepare(request.dataset, home), home)
    return next(build for build in builds if build.recipe.model.is_network)


@pytest.fixture
def sayings(tmp_path: Path) -> str:
    """A table of texts that say which of two animals bites."""
    draw, rows = random.Random(0), ["text,label"]
    for number in range(80):
        animal = ("dog", "cat")[number % 2]
        rows.append(f"{' '.join(draw.choices(['the', 'a', 'man', 'bites'], k=5))} {animal}s,{animal}")
    (tmp_path / "sayings.csv").write_text("\n".join(rows))
    return str(tmp_path / "sayings.csv")


@pytest.mark.parametrize(("family", "mode"), [("bert", "full"), ("xlm-roberta", "head"), ("roberta", "lora")])
def test_from_its_folder_to_strings(
    family: str, mode: str, sayings: str, home: Home, tmp_path: Path, heard: list[str]
) -> None:
    folder = write_encoder(tmp_path / "tiny-encoder", family)
    (folder / "LICENSE").write_text("free")
    build = build_of(words(sayings, "tiny-encoder", *FEW, f"finetune.mode={mode}"), home)
    assert build.label == "bert" and build.recipe.model.model_dump()["positions"] in {38, 40}
    told = "".join(heard)
    assert (
        "weights of tiny-encoder (licence: LICENSE)" in told
        and "(100% of the numbers below the head)" in told
    )
    check_model(build, home)
    check_memory(build, home)
    bundle = read_bundle(do(build, home))
    manifest = bundle.manifest
    assert manifest.signature.encoding == "ids" and TOKENIZER_FILE in manifest.files
    assert manifest.recipe["init"]["source"] == "tiny-encoder"
    assert manifest.metrics["onnx/max_difference"] < 1e-4
    texts = ["the dogs", "", *NASTY]
    found = Model(bundle).predict(texts)
    fitted = open_fitted(train_node(build).folder(home))
    split = text_split(texts, [0] * len(texts), manifest.form.longest)
    logits_BK = fitted.logits(split) / manifest.temperature
    expected_BK = np.exp(logits_BK) / np.exp(logits_BK).sum(1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, expected_BK, atol=1e-4)
    raw_BL = bundle.encoding.raw(split.in_memory)
    assert raw_BL.dtype == np.int64
    np.testing.assert_allclose(classify(open_session(bundle.model), raw_BL), found.probabilities, atol=1e-5)


def test_what_was_trained_is_gone_on_from_with_its_tokenizer(
    sayings: str, home: Home, tmp_path: Path
) -> None:
    write_encoder(tmp_path / "tiny-encoder")
    first = build_of(words(sayings, "tiny-encoder", *FEW), home)
    trained = do(first, home)
    shutil.rmtree(tmp_path / "tiny-encoder")
    again = build_of(words(sayings, str(trained), *FEW), home)
    assert (again.label, again.recipe.model) == ("bert", first.recipe.model)
    assert read_bundle(do(again, home)).others == read_bundle(trained).others
    assert train_node(again).key != train_node(first).key


def test_how_long_texts_are_and_how_they_are_pooled_may_be_said(
    sayings: str, home: Home, tmp_path: Path
) -> None:
    write_encoder(tmp_path / "tiny-encoder")
    asked = words(sayings, "tiny-encoder", "model.positions=12", "model.pooling=first")
    build = build_of(asked, home)
    told = json.loads((nodes(build)[1].folder(home) / "model.json").read_text())
    assert json.loads(told["symbols"]["table"][0])["truncation"]["max_length"] == 12
    assert recipe_of(asked).model.model_dump()["pooling"] == "first"


def test_an_encoder_is_nothing_without_its_weights(sayings: str, home: Home) -> None:
    with pytest.raises(
        ConfigError, match=r"bert: expected a folder of weights to start from \(--init PATH\)"
    ):
        build_of(words(sayings, "x").model_copy(update={"architectures": ("bert",), "assignments": ()}), home)


def test_another_network_cannot_begin_with_it(sayings: str, home: Home, tmp_path: Path) -> None:
    write_encoder(tmp_path / "tiny-encoder")
    with pytest.raises(
        ConfigError, match=r"init: tiny-encoder: expected at least 90% of the network's numbers"
    ):
        build_of(words(sayings, "tiny-encoder", architectures=["cnn"]), home)


def test_pictures_have_no_such_encoder(home: Home, tmp_path: Path) -> None:
    write_encoder(tmp_path / "tiny-encoder")
    with pytest.raises(ConfigError, match=r"expected weights of a network for images, received .* bert"):
        build_of(words("digits", "tiny-encoder"), home)
