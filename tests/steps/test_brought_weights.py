"""`--init`: what it names, what the recipe becomes by it, and a build that begins there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from modelyard.bundle import read_bundle
from modelyard.errors import ConfigError, StoreError, TrainingError
from modelyard.home import Home
from modelyard.models import CustomConfig
from modelyard.recipes.recipe import Recipe
from modelyard.recipes.request import compare_request
from modelyard.recipes.weights import find_weights
from modelyard.recipes.words import Words
from modelyard.samples import ImageForm
from modelyard.steps.nodes import export_node, how_of, nodes, train_node
from modelyard.steps.preparation import build_requests, prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.run import run_step
from tests.models.test_brought import CONFIG, hugging_face_vit
from tests.trained import ASSIGNMENTS, Trained

NORMAL = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2] * 3, "size": {"height": 16, "width": 16}}
TINY = "torchvision:squeezenet1_1"


@pytest.fixture
def home(store: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MODELYARD_CACHE", str(shared_cache))
    monkeypatch.chdir(store)
    torch.set_num_threads(1)
    return Home.current()


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Ten coloured pictures of each of two classes, 20 x 24."""
    draw = np.random.default_rng(0)
    for label in range(2):
        folder = tmp_path / "pictures" / f"class-{label}"
        folder.mkdir(parents=True)
        for number in range(10):
            pixels_HWC = draw.integers(60 * label, 196 + 60 * label, (20, 24, 3), np.uint8)
            Image.fromarray(pixels_HWC).save(folder / f"{number}.png")
    return str(tmp_path / "pictures")


@pytest.fixture
def vit_folder(tmp_path: Path) -> Path:
    """A folder as Hugging Face's libraries leave it."""
    folder = tmp_path / "tiny-vit"
    folder.mkdir()
    save_file(hugging_face_vit(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "preprocessor_config.json").write_text(json.dumps(NORMAL))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def words(dataset: str, init: str, *assignments: str, architectures: Sequence[str] = ()) -> Words:
    return Words(
        dataset=dataset, architectures=tuple(architectures), preset="smoke",
        assignments=(f"init={json.dumps(init)}", *ASSIGNMENTS, *assignments),
    )  # fmt: skip


def recipe_of(asked: Words) -> Recipe:
    (recipe,) = [one for one in compare_request(asked).recipes.values() if one.model.is_network]
    return recipe


def build_of(asked: Words, home: Home) -> BuildRequest:
    request = compare_request(asked).model_copy(update={"in_process": True})
    first = next(iter(request.recipes.values()))
    (build,) = build_requests(request, prepare(request.dataset, home, first.data), home)
    return build


def do(build: BuildRequest, home: Home) -> Path:
    for node in nodes(build):
        if node.step.body:
            run_step(node, how_of(build, home))
    return export_node(build).folder(home)


def test_a_folder_decides_network_normalisation_and_size(pictures: str, vit_folder: Path) -> None:
    recipe = recipe_of(words(pictures, str(vit_folder)))
    assert recipe.model.model_dump(include={"architecture", "variant", "patch", "width", "mean", "std"}) == {
        "architecture": "transformer", "variant": "vit", "patch": 8, "width": 12,
        "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2),
    }  # fmt: skip
    assert (recipe.data.height, recipe.data.width, recipe.data.channels) == (16, 16, 3)
    (vit_folder / "preprocessor_config.json").unlink()
    (vit_folder / "config.json").write_text(json.dumps(CONFIG | {"image_size": 32}))
    assert recipe_of(words(pictures, str(vit_folder))).data.height == 32
    larger = recipe_of(words(pictures, str(vit_folder), "data.height=24", "data.width=24"))
    assert (larger.data.height, larger.data.width) == (24, 24)


def test_a_build_begins_with_them_and_says_so(
    pictures: str, vit_folder: Path, home: Home, heard: list[str]
) -> None:
    build = build_of(words(pictures, "tiny-vit", "training.optimizer.learning_rate=1e-9"), home)
    assert "weights of tiny-vit (licence: apache-2.0): 30 tensors matched (100%" in "".join(heard)
    bundle = read_bundle(do(build, home))
    told = bundle.manifest.recipe["init"]
    assert told["source"] == "tiny-vit" and told["licence"]["name"] == "apache-2.0"
    assert (told["matched"], told["missing"], told["left_over"]) == (30, 0, 2)
    trained = load_file(train_node(build).folder(home) / "weights.safetensors")
    before = hugging_face_vit()["vit.layernorm.weight"]
    torch.testing.assert_close(trained["network.norm.weight"], before, atol=1e-5, rtol=0)


def test_other_weights_are_another_training(pictures: str, vit_folder: Path, home: Home) -> None:
    first = build_of(words(pictures, "tiny-vit"), home)
    assert build_of(words(pictures, str(vit_folder)), home) == first
    save_file(
        {name: 2 * value for name, value in hugging_face_vit().items()}, vit_folder / "model.safetensors"
    )
    other = build_of(words(pictures, "tiny-vit"), home)
    assert train_node(other).key != train_node(first).key


def test_a_librarys_weights_need_nothing_else(
    pictures: str, home: Home, tmp_path: Path, heard: list[str]
) -> None:
    network = CustomConfig.parse(TINY).build(ImageForm(3, 32, 32), 1000)
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, tmp_path / "w.pth"
    )
    recipe = recipe_of(words(pictures, "w.pth", architectures=[TINY]))
    assert recipe.model.model_dump()["mean"] == (0.485, 0.456, 0.406)
    assert (recipe.data.height, recipe.data.width) == (224, 224)
    build_of(words(pictures, "w.pth", "data.height=32", "data.width=32", architectures=[TINY]), home)
    assert "2 left over (module.classifier.1.weight, module.classifier.1.bias)" in "".join(heard)


OWN = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, image_shape, num_classes):
        super().__init__(nn.Conv2d(image_shape[0], 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.append(nn.Linear(8, num_classes))
"""


def test_the_normalisation_of_an_own_module_is_demanded(pictures: str, home: Home, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    save_file({"0.weight": torch.ones(8, 3, 3, 3), "0.bias": torch.ones(8)}, tmp_path / "own.safetensors")
    asked = words(pictures, "own.safetensors", architectures=["own.py:Net"])
    with pytest.raises(ConfigError, match=r"expected the mean and deviation .* received neither"):
        build_of(asked, home)
    for given in ("model.mean=none",), ("model.mean=[0.5,0.5,0.5]", "model.std=[0.5,0.5,0.5]"):
        stated = words(pictures, "own.safetensors", *given, architectures=["own.py:Net"])
        assert build_of(stated, home).brought.keys() == {"weights"}


@pytest.mark.parametrize(("init", "told"), [
    ("nowhere.pth", "init: expected NAME@ALIAS, a .safetensors, .pth or .pt file.*received 'nowhere.pth'"),
    ("digits@champion", r"no model .digits. is registered"),
    ("empty", r"expected model\.safetensors or pytorch_model\.bin"),
    ("half.safetensors", r"init: half\.safetensors: .*no whole file of weights"),
])  # fmt: skip
def test_what_is_none_is_refused_before_anything_is_recorded(
    init: str, told: str, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "half.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises((ConfigError, StoreError), match=told):
        build_of(words("digits", init, "model.mean=none", architectures=["cnn"]), home)
    assert not [*home.steps.glob("weights-*")]


def test_an_image_of_another_size_than_the_positions_are_for_is_refused(
    pictures: str, vit_folder: Path, home: Home
) -> None:
    with pytest.raises(
        ConfigError, match=r"init: tiny-vit: network\.stem\.positions: expected \[1, 10, 12\], received"
    ):
        build_of(words(pictures, "tiny-vit", "data.height=24", "data.width=24"), home)


def test_a_training_of_this_store_goes_on_with_its_head(home: Home, trained: Trained) -> None:
    trained.steps(home, "cnn")
    (training,) = home.steps.glob("train-*")
    (bundle,) = home.steps.glob("export-*")
    assert find_weights(str(bundle), home) == training
    asked = words("digits", str(bundle), "training.optimizer.learning_rate=1e-9")
    recipe = recipe_of(asked)
    assert recipe.model.architecture == "cnn" and recipe.data.height is None
    build = build_of(asked, home)
    run_step(train_node(build), how_of(build, home))
    folders = training, train_node(build).folder(home)
    before, after = (load_file(folder / "weights.safetensors") for folder in folders)
    for name, value in after.items():
        if "weight" in name:
            torch.testing.assert_close(value, before[name], atol=1e-4, rtol=0)


def test_a_training_that_was_removed_is_told(home: Home, trained: Trained) -> None:
    trained.steps(home, "cnn")
    (bundle,) = home.steps.glob("export-*")
    (training,) = home.steps.glob("train-*")
    (training / "weights.safetensors").unlink()
    with pytest.raises(StoreError, match=r"are not in .* any more .*; train it again: modelyard run"):
        find_weights(str(bundle), home)


def test_a_network_of_other_options_does_not_begin_with_them(
    pictures: str, vit_folder: Path, home: Home
) -> None:
    build = build_of(words(pictures, "tiny-vit"), home)
    recipe = build.recipe.override(["model.mlp_ratio=3"])
    other = build.model_copy(update={"recipe": recipe})
    with pytest.raises(TrainingError, match=r"mlp\.0\.bias: the weights of weights-\w+ were matched with"):
        run_step(train_node(other), how_of(other, home))
