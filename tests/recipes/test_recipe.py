"""What of a recipe is in the keys of steps, and that words are kept as they were."""

from __future__ import annotations

import pytest
import torch

from modelyard.config import Part, fields_of
from modelyard.errors import ConfigError
from modelyard.recipes.assigned import SMALLER, assigned
from modelyard.recipes.named import make_recipe
from modelyard.recipes.recipe import Recipe
from modelyard.recipes.request import LARGEST_SEED, compare_request
from modelyard.recipes.words import Words
from modelyard.samples import TextForm
from modelyard.sources.known import Traits
from modelyard.sources.peek import describe
from modelyard.training.slices import ExportSlice


def test_each_part_says_what_it_decides() -> None:
    for name, field in Recipe.model_fields.items():
        assert any(isinstance(mark, Part) for mark in field.metadata), name
    made = ["data", "model", "training", "pretrain", "finetune", "distil", "export"]
    assert fields_of(Recipe, Part.MADE) == made


@pytest.mark.parametrize(
    ("assignment", "moves"),
    [
        ("training.epochs=9", True),
        ("data.labels=30", True),
        ("data.height=28", True),
        ("data.max_pixels=9999", False),
        ("data.max_bytes=9999", False),
        ("data.unlabelled=somewhere", False),
        ("pretrain.method=rotation", True),
        ("validation.min_images_per_class=3", False),
        ("gates.max_ece=0.1", False),
    ],
)
def test_only_what_is_made_moves_what_keys_are_made_of(assignment: str, moves: bool) -> None:
    recipe = make_recipe("cnn", "smoke")
    assert (recipe.override([assignment]).made() != recipe.made()) == moves
    assert recipe.override([assignment]) != recipe


def test_a_bundle_tells_of_values_that_are_none_and_a_key_does_not() -> None:
    recipe = make_recipe("cnn", "smoke")
    parts = {name: getattr(recipe, name) for name in fields_of(Recipe, Part.MADE)}
    assert ExportSlice(dataset="d", seed=0, **parts).recipe()["data"]["height"] is None
    assert "height" not in recipe.made()["data"]


def test_the_words_of_former_schedules_are_read() -> None:
    """As 0.1 wrote them into Prefect's data base: the names and defaults of fields stay."""
    former = {
        "dataset": "digits", "architectures": ["cnn"], "preset": "smoke",
        "assignments": ["training.epochs=3"], "seed": 1, "device": "cpu",
        "skip_unreadable": True, "name": "numbers",
    }  # fmt: skip
    assert Words.model_validate(former).model_dump(mode="json") == former
    assert Words.model_validate({"dataset": "digits"}).preset == "standard"


def test_a_seed_that_torch_cannot_take_is_refused_before_anything_is_done() -> None:
    assert compare_request(Words(dataset="digits", seed=LARGEST_SEED)).seed == LARGEST_SEED
    torch.manual_seed(LARGEST_SEED * 1_000_003 + 999)
    with pytest.raises(ConfigError, match="--seed expects at most"):
        compare_request(Words(dataset="digits", seed=LARGEST_SEED + 1))


@pytest.mark.parametrize(
    ("data", "label", "assignments", "expected"),
    [
        ("digits", "cnn", ["export.input=nonsense"], "expected pixels for cnn"),
        ("docstrings", "linear", ["export.input=bytes"], "expected strings for linear"),
        (
            "docstrings",
            "cnn",
            ["export.input=bytes", "model.alphabet=words"],
            "expected strings for text-cnn",
        ),
        (
            "docstrings",
            "lstm",
            ["export.input=pixels", "model.alphabet=chars"],
            "expected strings or bytes for text-rnn",
        ),
    ],
)
def test_an_input_that_no_graph_has_is_refused_before_a_training(
    data: str, label: str, assignments: list[str], expected: str
) -> None:
    recipe = make_recipe(label, "smoke", describe(data))
    with pytest.raises(ConfigError, match=expected):
        recipe.override(assignments)
    possible = recipe.model.inputs
    assert possible and recipe.override([f"export.input={possible[0]}"]).export.input == possible[0]


def test_what_is_not_ours_is_refused_another_input_before_a_training_too() -> None:
    words = Words(
        dataset="digits", architectures=("torchvision:resnet18",), assignments=("export.input=nonsense",)
    )
    with pytest.raises(ConfigError, match="expected pixels for torchvision"):
        compare_request(words)


@pytest.mark.parametrize("name", ["cnn", "rnn", "transformer"])
def test_a_network_that_starts_from_weights_learns_slower_unless_told_otherwise(name: str) -> None:
    def rate(*assignments: str) -> float:
        return assigned(recipe, assignments).training.optimizer.learning_rate

    recipe = make_recipe(name, "standard")
    assert rate() == rate("training.epochs=2") == recipe.training.optimizer.learning_rate
    assert rate("init=weights.pth") == SMALLER * rate()
    assert rate("training.optimizer.learning_rate=0.5", "init=weights.pth") == 0.5
    assert rate("init=weights.pth", "training.unlabelled=fixmatch") == rate("init=weights.pth")


def test_presets_of_what_only_starts_from_weights_are_for_that() -> None:
    recipe = make_recipe("bert", "standard", Traits(kind=TextForm.kind))
    assert assigned(recipe, ["init=folder"]).training == recipe.training
