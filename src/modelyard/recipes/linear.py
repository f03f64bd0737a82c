"""The linear model."""

from __future__ import annotations

from modelyard.models import LinearConfig
from modelyard.recipes.recipe import Presets, Recipe
from modelyard.sources.known import Traits
from modelyard.training.config import TrainingConfig


def smoke(_data: Traits) -> Recipe:
    """Nothing is chosen, and few texts are read."""
    model = LinearConfig(terms="both", cost=1.0)
    return Recipe(model=model, training=TrainingConfig(max_train_images=12_000))


def tiny(_data: Traits) -> Recipe:
    """Few terms: a file of some hundred kilobytes."""
    return Recipe(model=LinearConfig(letters=4, most=5_000))


def standard(_data: Traits) -> Recipe:
    """What is fitted unless told otherwise; it takes seconds, so that other presets are the same."""
    return Recipe(model=LinearConfig())


PRESETS: Presets = {
    "smoke": smoke, "sprint": standard, "tiny": tiny, "standard": standard, "quality": standard,
}  # fmt: skip
