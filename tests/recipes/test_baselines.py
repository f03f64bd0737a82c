"""Networks of texts are compared with the linear model, whatever else is asked."""

from __future__ import annotations

from modelyard.models import LinearConfig
from modelyard.recipes.request import compare_request
from modelyard.recipes.words import Words


def test_the_linear_model_is_always_compared() -> None:
    """What is assigned to a network is not for it, what is of the data is."""
    assignments = ("model.embedding=32", "training.epochs=2", "data.validation_share=0.2")
    words = Words(dataset="docstrings", architectures=("cnn",), assignments=assignments)
    recipes = compare_request(words).recipes
    assert list(recipes) == ["linear", "cnn"]
    assert isinstance(recipes["linear"].model, LinearConfig)
    assert recipes["linear"].data == recipes["cnn"].data


def test_it_may_be_named_and_assigned_to() -> None:
    words = Words(dataset="docstrings", architectures=("linear",), assignments=("model.cost=0.5",))
    (recipe,) = compare_request(words).recipes.values()
    assert isinstance(recipe.model, LinearConfig) and recipe.model.cost == 0.5


def test_images_have_none() -> None:
    assert list(compare_request(Words(dataset="digits")).recipes) == ["cnn", "rnn", "transformer"]
