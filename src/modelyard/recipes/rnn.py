"""Our LSTM over pairs of rows."""

from __future__ import annotations

from modelyard.models import RnnConfig
from modelyard.recipes import lengths
from modelyard.recipes.lengths import adamw, augmentation, strong_augmentation
from modelyard.recipes.recipe import Presets, Recipe
from modelyard.sources.known import Traits


def smoke(data: Traits) -> Recipe:
    """Tries the whole way in seconds."""
    return Recipe(model=RnnConfig(), training=lengths.smoke(adamw(8e-3), augmentation(data, shift=1)))


def sprint(data: Traits) -> Recipe:
    """The shortest training that is nearly as good as `standard`."""
    training = lengths.sprint(adamw(8e-3), augmentation(data, shift=1), epochs=6, batch_size=128)
    return Recipe(model=RnnConfig(rows_per_step=4), training=training)


def tiny(data: Traits) -> Recipe:
    """A model of few kilobytes."""
    training = lengths.tiny(adamw(8e-3), augmentation(data, shift=1), epochs=36)
    return Recipe(model=RnnConfig(hidden=32), training=training)


def standard(data: Traits) -> Recipe:
    """What is trained unless told otherwise."""
    training = lengths.standard(adamw(8e-3), augmentation(data, shift=1), epochs=12)
    return Recipe(model=RnnConfig(), training=training)


def quality(data: Traits) -> Recipe:
    """As accurate as our network becomes, however long it takes; for named data chosen on validation."""
    if data.name == "fashion-mnist":
        model = RnnConfig(layers=2, hidden=128, mirrored=True)
        augment = strong_augmentation(data, shift=1, erase=6)
        return Recipe(model=model, training=lengths.quality(adamw(8e-3), augment, epochs=36))
    training = lengths.quality(
        adamw(8e-3), strong_augmentation(data, shift=1), epochs=24, hard_share=0.5 if data.easy else 1.0
    )
    return Recipe(model=RnnConfig(hidden=192), training=training)


PRESETS: Presets = {
    "smoke": smoke, "sprint": sprint, "tiny": tiny, "standard": standard, "quality": quality,
}  # fmt: skip
