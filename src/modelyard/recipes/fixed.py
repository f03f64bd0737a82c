"""The presets of a network that is the same in all of them: one that is not tuned here."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.models import AnyModelConfig
from modelyard.recipes import lengths
from modelyard.recipes.lengths import adamw, augmentation, strong_augmentation
from modelyard.recipes.recipe import Presets, Recipe
from modelyard.sources.known import Traits


@dataclass(frozen=True, slots=True)
class Fixed:
    """One network, its peak learning rate, the epochs of `standard`, and by how much its images are moved."""

    model: AnyModelConfig
    rate: float
    epochs: int
    shift: int = 2

    @property
    def presets(self) -> Presets:
        """They differ in how long it is trained alone."""
        return {
            "smoke": self.smoke, "sprint": self.sprint, "tiny": self.tiny, "standard": self.standard,
            "quality": self.quality,
        }  # fmt: skip

    def smoke(self, data: Traits) -> Recipe:
        """Tries the whole way."""
        return Recipe(
            model=self.model, training=lengths.smoke(adamw(self.rate), augmentation(data, shift=self.shift))
        )

    def sprint(self, data: Traits) -> Recipe:
        """A short training, on hard images for the most part."""
        training = lengths.sprint(adamw(self.rate), augmentation(data, shift=self.shift))
        return Recipe(model=self.model, training=training)

    def tiny(self, data: Traits) -> Recipe:
        """Nothing is smaller, but it is trained as small networks are."""
        augment = augmentation(data, shift=self.shift)
        return Recipe(
            model=self.model, training=lengths.tiny(adamw(self.rate), augment, epochs=3 * self.epochs)
        )

    def standard(self, data: Traits) -> Recipe:
        """What is trained unless told otherwise."""
        augment = augmentation(data, shift=self.shift)
        return Recipe(
            model=self.model, training=lengths.standard(adamw(self.rate), augment, epochs=self.epochs)
        )

    def quality(self, data: Traits) -> Recipe:
        """As accurate as it becomes, however long it takes."""
        augment = strong_augmentation(data, shift=self.shift)
        return Recipe(
            model=self.model, training=lengths.quality(adamw(self.rate), augment, epochs=3 * self.epochs)
        )
