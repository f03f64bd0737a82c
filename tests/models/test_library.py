"""Networks of torchvision and timm, by name, as any other."""

from __future__ import annotations

import sys

import pytest
import torch

from modelyard.errors import ConfigError
from modelyard.models import CustomConfig, library
from modelyard.recipes.named import named
from modelyard.recipes.words import Words
from modelyard.samples import ImageForm, TextForm

NAMES = [
    "torchvision:squeezenet1_1",
    "torchvision:mobilenet_v3_small",
    "torchvision:googlenet",
    "timm:test_resnet.r160_in1k",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_it_answers_for_grey_and_coloured_images_and_can_be_trained(name: str, channels: int) -> None:
    config = CustomConfig.parse(name)
    model = config.check(ImageForm(channels, 40, 48), 7)
    assert model(torch.rand(5, channels, 40, 48)).shape == (5, 7)
    assert config.source_digest.split(" ")[0] == name.partition(":")[0]
    assert config.own_files() == {}


def test_its_name_is_its_label_and_its_arguments_are_given() -> None:
    name, assignments = "torchvision:resnet18", ("model.kwargs.zero_init_residual=true",)
    recipe = named(Words(dataset="digits", architectures=(name,), preset="smoke", assignments=assignments))[
        name
    ]
    model = recipe.model.build(ImageForm(1, 28, 28), 10)
    assert float(model.get_parameter("layer1.0.bn2.weight").detach().abs().max()) == 0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("torchvision:resnet19", r"torchvision has no classifier 'resnet19'; expected one such as resnet.*"),
        ("torchvision:fcn_resnet50", "has no classifier"),
        ("torchvision:", "expected one such as resnet18"),
        ("torchvision:ResNet50", "expected one such as resnet50"),
        ("torch:resnet18", r"expected path/to/file\.py:ClassName, torchvision:NAME or timm:NAME"),
        ("timm:resnet1", r"timm has no classifier 'resnet1'; expected one such as resnet1"),
        ("timm:hf-hub:a/b", "expected path/to/file"),
    ],
)
def test_an_unknown_name_is_told_with_near_ones(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        CustomConfig.parse(name)


def test_the_size_that_it_needs_is_told() -> None:
    told = (
        r"torchvision:inception_v3 takes no images of 28 x 28, but for instance of 75 x 75: "
        r"--set data\.height=75 "
    )
    with pytest.raises(ConfigError, match=told):
        CustomConfig.parse("torchvision:inception_v3").build(ImageForm(1, 28, 28), 10)


def test_texts_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"net1_1: expected images, .* received texts; name one"):
        CustomConfig.parse(NAMES[0]).check(TextForm(64), 7)


def test_a_library_loads_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in library.LOADING:
        config = CustomConfig.parse("torchvision:resnet18").model_copy(update={"kwargs": {word: "DEFAULT"}})
        with pytest.raises(
            ConfigError, match=rf"model\.kwargs\.{word} loads weights; expected an own module"
        ):
            config.build(ImageForm(3, 32, 32), 10)
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match="timm:resnet18: timm is not installed; install it with: pip install timm"
    ):
        CustomConfig.parse("timm:resnet18")
