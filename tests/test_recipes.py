"""Wrong names and values are told with the legal ones."""

from __future__ import annotations

import pytest

from modelyard.errors import ConfigError, DataError
from modelyard.recipes import ARCHITECTURES, PRESETS, make_recipe, named_recipes
from modelyard.samples import ImageForm
from modelyard.sources.sources import load_dataset
from modelyard.training.config import steps_before


def test_unknown_names_are_told_the_legal_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown architecture 'cnm': expected one of cnn, rnn"):
        make_recipe("cnm", "smoke")
    with pytest.raises(ConfigError, match=r"did you mean training\.epochs\?"):
        make_recipe("cnn", "smoke").override(["training.epoch=3"])
    with pytest.raises(ConfigError, match=r"training\.epochs: Input should be greater"):
        make_recipe("cnn", "smoke").override(["training.epochs=0"])
    with pytest.raises(DataError, match="unknown data set 'mnits': expected auto, digits"):
        load_dataset("mnits")


def test_augmentation_follows_the_named_data_and_the_user_last() -> None:
    assert not named_recipes(["cnn"], "smoke", dataset="mnist")["cnn"].training.augment.flip
    assert named_recipes(["cnn"], "smoke", dataset="fashion-mnist")["cnn"].training.augment.flip
    chosen = named_recipes(["cnn"], "smoke", ["training.augment.flip=false"], dataset="fashion-mnist")
    assert not chosen["cnn"].training.augment.flip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "pets"])
def test_only_what_is_trained_on_mirror_images_is_asked_about_them(architecture: str, dataset: str) -> None:
    made = named_recipes([architecture], "quality", dataset=dataset)[architecture].made()
    assert made["model"]["mirrored"] == made["training"]["augment"]["flip"] == (dataset == "fashion-mnist")


def parameters(architecture: str, preset: str, dataset: str = "mnist") -> int:
    model = named_recipes([architecture], preset, dataset=dataset)[architecture].model.build(
        ImageForm(1, 28, 28), 10
    )
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_sprint_is_shorter_and_tiny_is_smaller_and_quality_is_neither(architecture: str) -> None:
    def steps(preset: str) -> int:
        training = named_recipes([architecture], preset, dataset="mnist")[architecture].training
        return steps_before(training, 54_000, training.epochs) * training.batch_size

    assert steps("smoke") <= steps("sprint") < steps("standard") < steps("quality")
    assert (
        parameters(architecture, "tiny")
        < parameters(architecture, "sprint") / 3
        < parameters(architecture, "quality")
    )


def test_only_easy_data_get_the_light_network() -> None:
    sizes = {
        dataset: parameters("cnn", "standard", dataset)
        for dataset in ("mnist", "auto", "digits", "fashion-mnist", "pets")
    }
    assert sizes["mnist"] == sizes["auto"] == sizes["digits"] < sizes["fashion-mnist"] == sizes["pets"]


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "lenet", "lstm", "vit"])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_builds_for_every_architecture(architecture: str, preset: str) -> None:
    assert parameters(architecture, preset) > 1000
