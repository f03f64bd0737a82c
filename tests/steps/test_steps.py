"""A step ends in a folder that is whole, or in nothing; one that was altered is done again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from modelyard.bundle import open_bundle
from modelyard.errors import BundleError, ParityError
from modelyard.export.deployed import deployed
from modelyard.export.onnx import operator_counts
from modelyard.export.parity import answers_of, check_parity
from modelyard.home import Home
from modelyard.inference.session import open_session
from modelyard.progress import SilentProgress
from modelyard.recipes.named import ARCHITECTURES, make_recipe
from modelyard.samples import ImageForm
from modelyard.sources.peek import describe
from modelyard.sources.sources import load_dataset
from modelyard.steps.nodes import evaluate_node, export_node, how_of, nodes, train_node
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import is_done, run_step, waiting
from modelyard.training.fitted import Build, TorchFitted

SMALL = ["training.epochs=1", "training.min_steps=0", "training.max_train_images=600"]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_steps_end_in_a_bundle_with_parity(
    architecture: str, home: Home, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_CACHE", str(shared_cache))
    recipe = make_recipe(architecture, "smoke", describe("digits")).override(SMALL)
    request = BuildRequest(
        recipe=recipe, label=architecture, seed=0, in_process=True, **prepare("digits", home)
    )
    bundle = [run_step(node, how_of(request, home)) for node in nodes(request)[1:]][-1]
    manifest = open_bundle(bundle)
    assert manifest.metrics["onnx/max_difference"] < 1e-4
    assert manifest.form == ImageForm(1, 28, 28)
    assert manifest.metrics["latency/alone"] == 1.0
    for call in (
        "onnx/latency_ms",
        "torch/latency_ms",
        "onnx/latency_batch64_ms",
        "torch/latency_batch64_ms",
    ):
        assert 0 < manifest.metrics[f"{call}_p50"] <= manifest.metrics[f"{call}_p50_high"]
    torch.manual_seed(5)
    test = load_dataset("digits").test
    build = Build.of(recipe.model, test, manifest.classes)
    with pytest.raises(ParityError, match=r"disagree on \d+ of 128 labels.*nothing was registered"):
        other = deployed(TorchFitted(build.network().eval(), build), 1.0)
        check_parity(bundle, answers_of(other, test), test)
    altered = bundle / "golden.npz"
    content = altered.read_bytes()
    altered.write_bytes(content[:-1] + b"?")
    with pytest.raises(BundleError, match=r"golden\.npz does not match the manifest"):
        open_bundle(bundle)
    altered.write_bytes(content)

    metadata = open_session(bundle / "model.onnx").get_modelmeta().custom_metadata_map
    assert metadata["data_digest"] == request.data_digest
    assert json.loads(metadata["classes"]) == [str(digit) for digit in range(10)]
    assert json.loads(metadata["environment"])["modelyard"]
    assert json.loads(metadata["pixel_contract"]) == {
        "version": 1,
        "input": "images",
        "datatype": "uint8",
        "range": [0, 255],
        "layout": "NHWC",
        "height": 28,
        "width": 28,
        "channels": 1,
        "mode": "L",
        "resampling": "bilinear",
        "fit": "stretch",
        "white": 65_535,
        "ground": [0],
    }
    assert json.loads(metadata["metrics"])["data/opposite_borders"] == 0.0
    operators = operator_counts(bundle / "model.onnx")
    assert operators.get("LSTM", 0) == (architecture == "rnn")
    assert operators["Softmax"] >= 1
    assert (
        b".py" not in (bundle / "model.onnx").read_bytes()
    )  # nor any other trace of the machine that wrote it


def test_a_run_says_that_few_images_take_more_epochs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(SilentProgress, "say", lambda _, text: said.append(text))
    wanted = ["training.min_steps=5", "training.epochs=2", "training.precision=fp32", "data.labels=20"]
    prepared = prepare("digits", home, make_recipe("rnn", "smoke").data)
    for changes in (wanted, [*wanted, "training.min_steps=2"]):
        recipe = make_recipe("rnn", "smoke").override(changes)
        request = BuildRequest(recipe=recipe, label="rnn", seed=0, in_process=True, **prepared)
        run_step(train_node(request), how_of(request, home))
    expected = (
        "20 training images: 5 epochs instead of 2, so that 5 steps are reached (--set "
        "training.min_steps=0 keeps 2)"
    )
    assert said == [f"NOTE: rnn: {expected}"]


@pytest.mark.fault("a finished step is altered", how="bytes of its file changed")
def test_an_altered_step_is_done_again_and_says_so(
    home: Home, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_CACHE", str(shared_cache))
    said: list[str] = []
    monkeypatch.setattr(SilentProgress, "say", lambda _, text: said.append(text))
    recipe = make_recipe("rnn", "smoke").override([*SMALL, "training.precision=fp32"])
    request = BuildRequest(recipe=recipe, label="rnn", seed=0, in_process=True, **prepare("digits", home))
    run_step(train_node(request), how_of(request, home))
    train, evaluate, export = (node.folder(home) for node in nodes(request)[1:])
    weights = (train / "weights.safetensors").read_bytes()
    run_step(evaluate_node(request), how_of(request, home))
    run_step(export_node(request), how_of(request, home))
    assert waiting(nodes(request), home) == []

    (train / "weights.safetensors").write_bytes(weights[:-1] + b"?")
    np.save(evaluate / "test.npz", np.zeros(3))
    (evaluate / "evaluation.json").write_text("{}")
    (export / "model.onnx").unlink()
    assert not any(is_done(node, home) for node in nodes(request)[1:])
    assert len(said) == 3 and all(
        "was altered since it was made; the step is done again" in text for text in said
    )
    run_step(train_node(request), how_of(request, home))
    assert (train / "weights.safetensors").read_bytes() == weights
