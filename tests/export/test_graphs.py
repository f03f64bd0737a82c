"""A kept graph gives the same file as a fresh one, holds no weights, and is made again where it cannot be
trusted.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch

from modelyard.export import onnx as exporter
from modelyard.export.graphs import GRAPH_FILE, graph_name
from modelyard.export.onnx import DeployedModel, export_onnx
from modelyard.export.parity import torch_probabilities
from modelyard.inference.session import classify, open_session
from modelyard.recipes.named import ARCHITECTURES, make_recipe
from modelyard.samples import ImageForm

HEIGHT, WIDTH, CHANNELS, CLASSES = 14, 22, 3, 7
CHANGES = {
    ("cnn", "quality"): ("model.variant=resnet", "model.stages=2", "model.members=2", "model.mirrored=false"),
    ("transformer", "tiny"): ("model.mirrored=true", "model.members=2", "model.layers=1"),
}


def _deployed(architecture: str, seed: int, preset: str = "tiny") -> DeployedModel:
    torch.manual_seed(seed)
    model = (
        make_recipe(architecture, preset)
        .override(CHANGES.get((architecture, preset), ()))
        .model.build(ImageForm(CHANNELS, HEIGHT, WIDTH), CLASSES)
    )
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
    return DeployedModel(model, 1 + seed / 10).eval()


def _write(deployed: DeployedModel, path: Path, kept: Path | None) -> bytes:
    export_onnx(deployed, ImageForm(CHANNELS, HEIGHT, WIDTH), path, {}, kept)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("architecture", "preset"), [*((name, "tiny") for name in ARCHITECTURES), ("cnn", "quality")]
)
def test_a_kept_graph_serves_any_weights(
    architecture: str, preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, first, second = (
        tmp_path / "kept",
        _deployed(architecture, 1, preset),
        _deployed(architecture, 2, preset),
    )
    written = _write(first, tmp_path / "first.onnx", kept)
    fresh = _write(second, tmp_path / "fresh.onnx", None)
    monkeypatch.setattr(exporter, "_translated", None)  # from here on nothing can be translated
    assert _write(first, tmp_path / "again.onnx", kept) == written
    assert _write(second, tmp_path / "second.onnx", kept) == fresh != written

    images_BHWC = torch.randint(0, 256, (5, HEIGHT, WIDTH, CHANNELS), dtype=torch.uint8).numpy()
    answers_BK = classify(open_session(tmp_path / "second.onnx"), images_BHWC)
    assert abs(answers_BK - torch_probabilities(second, images_BHWC)).max() < 1e-5
    names = {tensor.name for tensor in onnx.load(kept / GRAPH_FILE).graph.initializer if tensor.raw_data}
    assert not names & set(second.state_dict())


@pytest.mark.fault("a kept graph is damaged", how="its file cut short")
def test_a_damaged_graph_is_translated_again(tmp_path: Path) -> None:
    kept, deployed = tmp_path / "kept", _deployed("rnn", 1)
    written = _write(deployed, tmp_path / "model.onnx", kept)
    file = kept / GRAPH_FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert _write(deployed, tmp_path / "model.onnx", kept) == written
    assert len(file.read_bytes()) == len(whole)


@pytest.mark.fault("the cache cannot be written", how="a file in place of its folder")
def test_a_graph_that_cannot_be_kept_is_used_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    deployed = _deployed("cnn", 1)
    assert _write(deployed, tmp_path / "model.onnx", tmp_path / "file" / "kept")


def test_another_architecture_shape_or_code_is_another_graph() -> None:
    names = [graph_name({"width": 8}, (1, 28, 28), 10, code) for code in ("a", "b")]
    names += [graph_name({"width": 9}, (1, 28, 28), 10, "a"), graph_name({"width": 8}, (3, 28, 28), 10, "a")]
    assert len(set(names)) == 4
