"""What a preset is changed by where the training also learns of samples without labels."""

from __future__ import annotations

from collections.abc import Sequence

from modelyard.config import change
from modelyard.recipes.recipe import Recipe

LONGER = 6
"""Times the least number of steps of the preset: labels spread from sample to sample."""
EMA_DECAY = 0.995


def assigned(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """The recipe with these `key=value`; a preset that is asked to learn of unlabelled samples is longer,
    and its samples are varied more: few labels show few of the ways in which a class looks.
    """
    asked = recipe.override(assignments)
    if asked.training.unlabelled is None:
        return asked
    least, decay = LONGER * recipe.training.min_steps, recipe.training.ema_decay
    training = change(
        recipe.training, min_steps=least, ema_decay=max(decay, EMA_DECAY) if decay else decay,
        augment=recipe.training.augment.livelier(),
    )  # fmt: skip
    return change(recipe, training=training).override(assignments)
