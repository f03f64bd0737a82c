"""Our convolution network."""

from __future__ import annotations

from modelyard.config import change
from modelyard.data.augmentation import AugmentConfig
from modelyard.models import CnnConfig
from modelyard.recipes import lengths
from modelyard.recipes.lengths import adamw, augmentation, strong_augmentation
from modelyard.recipes.recipe import Presets, Recipe
from modelyard.sources.known import Traits
from modelyard.training.optim import OptimizerConfig

LIGHT = CnnConfig(width=24, stages=2, downsample="stride", residuals=2, dropout=0.0)
"""For easy data: a third of the parameters of the other, a tenth of its time."""


def smoke(data: Traits) -> Recipe:
    """Tries the whole way in seconds."""
    if data.easy:
        return Recipe(model=LIGHT, training=lengths.smoke(adamw(8e-3), augmentation(data)))
    return Recipe(model=CnnConfig(), training=lengths.smoke(adamw(6e-3), augmentation(data)))


def sprint(data: Traits) -> Recipe:
    """The shortest training that is nearly as good as `standard`."""
    model = CnnConfig(width=16, stages=2, downsample="stride", residuals=2, dropout=0.0)
    return Recipe(model=model, training=lengths.sprint(adamw(8e-3), augmentation(data), epochs=3))


def tiny(data: Traits) -> Recipe:
    """A model of few kilobytes."""
    model = CnnConfig(width=8, stages=2, dropout=0.0)
    return Recipe(model=model, training=lengths.tiny(adamw(8e-3), augmentation(data), epochs=24))


def standard(data: Traits) -> Recipe:
    """What is trained unless told otherwise; easy data need less of everything."""
    if data.easy:
        training = lengths.standard(adamw(8e-3), augmentation(data), epochs=5, hard_share=0.4)
        return Recipe(model=LIGHT, training=training)
    return Recipe(model=CnnConfig(), training=lengths.standard(adamw(6e-3), augmentation(data), epochs=8))


def quality(data: Traits) -> Recipe:
    """As accurate as our network becomes, however long it takes; for named data chosen on validation."""
    if data.name == "fashion-mnist":
        return _fashion()
    model = CnnConfig(residuals=2)
    training = lengths.quality(adamw(8e-3), strong_augmentation(data), epochs=18 if data.easy else 24)
    return Recipe(model=change(model, dropout=0.4) if data.easy else model, training=training)


def _fashion() -> Recipe:
    model = CnnConfig(variant="resnet", width=16, stages=5, residuals=2, mirrored=True)
    augment = AugmentConfig(shift=1, flip=True, erase=8)
    optimizer = OptimizerConfig(name="sgd", learning_rate=0.15, weight_decay=5e-4)
    training = lengths.quality(optimizer, augment, epochs=24)
    return Recipe(model=model, training=change(training, clip_norm=5.0))


PRESETS: Presets = {
    "smoke": smoke, "sprint": sprint, "tiny": tiny, "standard": standard, "quality": quality,
}  # fmt: skip
