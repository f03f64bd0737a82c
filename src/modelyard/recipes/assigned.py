"""What a preset is changed by where the training starts from weights, or also learns of samples without
labels.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelyard.config import change
from modelyard.recipes.recipe import Recipe
from modelyard.training.config import TrainingConfig

LONGER = 6
"""Times the least number of steps of the preset: labels spread from sample to sample."""
EMA_DECAY = 0.995
SMALLER = 0.1
"""Times the learning rate of the preset, which is one from chance: weights that know something would be
undone."""


def assigned(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """The recipe with these `key=value`, before which comes what they mean for the preset."""
    asked, training = recipe.override(assignments), recipe.training
    if asked.training.unlabelled is not None:
        training = _longer(training)
    if asked.init is not None and not recipe.model.is_brought:  # its presets know
        rate = SMALLER * training.optimizer.learning_rate
        training = change(training, optimizer=change(training.optimizer, learning_rate=rate))
    return change(recipe, training=training).override(assignments)


def _longer(training: TrainingConfig) -> TrainingConfig:
    """And with samples varied more: few labels show few of the ways in which a class looks."""
    decay = training.ema_decay
    return change(
        training, min_steps=LONGER * training.min_steps, ema_decay=max(decay, EMA_DECAY) if decay else decay,
        augment=training.augment.livelier(),
    )  # fmt: skip
