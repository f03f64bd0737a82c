"""Presets are functions of what is known of the data; wrong names and values are told with the legal ones."""

from __future__ import annotations

import pytest

from modelyard.errors import ConfigError, DataError
from modelyard.recipes import cnn
from modelyard.recipes.named import ARCHITECTURES, BY_KIND, TABLE, make_recipe, named
from modelyard.recipes.recipe import Recipe
from modelyard.recipes.words import Words
from modelyard.samples import ImageForm
from modelyard.sources.known import AUTO, KNOWN, Traits
from modelyard.sources.peek import describe
from modelyard.sources.sources import load_dataset
from modelyard.training.config import steps_before

ALL = [(architecture, preset) for architecture, presets in TABLE.items() for preset in presets]
EVERY = [
    (kind, architecture, preset)
    for kind, (table, _, _) in BY_KIND.items()
    for architecture, presets in table.items()
    for preset in presets
]
DATA = [*(Traits(kind=kind) for kind in BY_KIND), *(known.traits for known in KNOWN.values())]


def test_unknown_names_are_told_the_legal_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown architecture 'cnm': expected one of cnn, rnn"):
        make_recipe("cnm", "smoke")
    with pytest.raises(ConfigError, match=r"unknown preset 'smok': expected one of smoke, sprint, tiny"):
        make_recipe("lenet", "smok")
    with pytest.raises(ConfigError, match=r"did you mean training\.epochs\?"):
        make_recipe("cnn", "smoke").override(["training.epoch=3"])
    with pytest.raises(ConfigError, match=r"training\.epochs: Input should be greater"):
        make_recipe("cnn", "smoke").override(["training.epochs=0"])
    with pytest.raises(DataError, match="unknown data set 'mnits': expected auto, digits"):
        load_dataset("mnits")


@pytest.mark.parametrize(("kind", "architecture", "preset"), EVERY)
def test_every_preset_says_what_it_is_for_and_is_valid_for_all_data_of_its_kind(
    kind: str, architecture: str, preset: str
) -> None:
    assert (BY_KIND[kind][0][architecture][preset].__doc__ or "").strip()
    for data in [data for data in DATA if data.kind == kind]:
        recipe = make_recipe(architecture, preset, data)
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(("architecture", "preset"), ALL)
def test_auto_means_the_same_recipe_whichever_data_it_finds(architecture: str, preset: str) -> None:
    first, second = (make_recipe(architecture, preset, describe(name)) for name in AUTO)
    assert first == second
    assert describe("auto") in map(describe, AUTO)


def test_a_preset_is_added_in_the_file_of_its_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    def longest(data: Traits) -> Recipe:
        return cnn.quality(data).override(["training.epochs=99"])

    monkeypatch.setitem(cnn.PRESETS, "longest", longest)
    words = Words(dataset="mnist", architectures=("cnn",), preset="longest")
    assert named(words)["cnn"].training.epochs == 99
    with pytest.raises(ConfigError, match="quality, longest"):
        make_recipe("cnn", "long")


def test_augmentation_follows_the_named_data_and_the_user_last() -> None:
    def is_flipped(dataset: str, *assignments: str) -> bool:
        words = Words(dataset=dataset, architectures=("cnn",), preset="smoke", assignments=assignments)
        return bool(named(words)["cnn"].training.augment.model_dump()["flip"])

    assert not is_flipped("mnist")
    assert is_flipped("fashion-mnist")
    assert not is_flipped("./fashion-mnist")
    assert not is_flipped("fashion-mnist", "training.augment.flip=false")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "pets"])
def test_only_what_is_trained_on_mirror_images_is_asked_about_them(architecture: str, dataset: str) -> None:
    made = make_recipe(architecture, "quality", describe(dataset)).made()
    assert made["model"]["mirrored"] == made["training"]["augment"]["flip"] == (dataset == "fashion-mnist")


def parameters(architecture: str, preset: str, dataset: str = "mnist") -> int:
    model = make_recipe(architecture, preset, describe(dataset)).model.build(ImageForm(1, 28, 28), 10)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_sprint_is_shorter_and_tiny_is_smaller_and_quality_is_neither(architecture: str) -> None:
    def steps(preset: str) -> int:
        training = make_recipe(architecture, preset, describe("mnist")).training
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


@pytest.mark.parametrize(("architecture", "preset"), ALL)
def test_every_preset_builds_for_every_architecture(architecture: str, preset: str) -> None:
    assert parameters(architecture, preset) > 1000
