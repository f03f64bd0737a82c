"""Our Transformer over patches."""

from __future__ import annotations

from modelyard.models import TransformerConfig
from modelyard.recipes import lengths
from modelyard.recipes.lengths import adamw, augmentation, strong_augmentation
from modelyard.recipes.recipe import Presets, Recipe
from modelyard.sources.known import Traits


def smoke(data: Traits) -> Recipe:
    """Tries the whole way in seconds."""
    return Recipe(model=TransformerConfig(), training=lengths.smoke(adamw(2e-3), augmentation(data, shift=1)))


def sprint(data: Traits) -> Recipe:
    """The shortest training that is nearly as good as `standard`."""
    training = lengths.sprint(adamw(3e-3), augmentation(data, shift=1), epochs=7, batch_size=128)
    return Recipe(model=TransformerConfig(layers=2), training=training)


def tiny(data: Traits) -> Recipe:
    """A model of few kilobytes."""
    training = lengths.tiny(adamw(3e-3), augmentation(data, shift=1), epochs=24)
    return Recipe(model=TransformerConfig(width=32, layers=2), training=training)


def standard(data: Traits) -> Recipe:
    """What is trained unless told otherwise."""
    training = lengths.standard(adamw(2e-3), augmentation(data, shift=1), epochs=8)
    return Recipe(model=TransformerConfig(), training=training)


def quality(data: Traits) -> Recipe:
    """As accurate as our network becomes, however long it takes; for named data chosen on validation."""
    if data.name == "fashion-mnist":
        augment = strong_augmentation(data, shift=1, erase=6)
        training = lengths.quality(adamw(2e-3, weight_decay=0.1), augment, epochs=20)
        return Recipe(model=TransformerConfig(stem="pool", mirrored=True), training=training)
    training = lengths.quality(
        adamw(2e-3), strong_augmentation(data, shift=1), epochs=24, hard_share=0.5 if data.easy else 1.0
    )
    return Recipe(model=TransformerConfig(stem="pool"), training=training)


PRESETS: Presets = {
    "smoke": smoke, "sprint": sprint, "tiny": tiny, "standard": standard, "quality": quality,
}  # fmt: skip
