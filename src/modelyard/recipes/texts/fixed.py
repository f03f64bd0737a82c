"""The presets of a network of texts that is the same in all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelyard.models import AnyModelConfig
from modelyard.recipes.recipe import Presets, Recipe
from modelyard.recipes.texts import lengths
from modelyard.sources.known import Traits


@dataclass(frozen=True, slots=True)
class TextFixed:
    """One network, made for what is known of the data, and its peak learning rate."""

    model: Callable[[Traits], AnyModelConfig]
    rate: float = 2e-3

    @property
    def presets(self) -> Presets:
        """They differ in how long it is trained alone."""
        return {
            "smoke": self.smoke, "sprint": self.sprint, "tiny": self.tiny, "standard": self.standard,
            "quality": self.quality,
        }  # fmt: skip

    def smoke(self, data: Traits) -> Recipe:
        """Tries the whole way."""
        return Recipe(model=self.model(data), training=lengths.smoke(self.rate))

    def sprint(self, data: Traits) -> Recipe:
        """A short training."""
        return Recipe(model=self.model(data), training=lengths.sprint(self.rate, data))

    def tiny(self, data: Traits) -> Recipe:
        """Nothing is smaller, but it is trained as small networks are."""
        return Recipe(model=self.model(data), training=lengths.tiny(self.rate, data))

    def standard(self, data: Traits) -> Recipe:
        """What is trained unless told otherwise."""
        return Recipe(model=self.model(data), training=lengths.standard(self.rate, data))

    def quality(self, data: Traits) -> Recipe:
        """Never stopped early."""
        return Recipe(model=self.model(data), training=lengths.quality(self.rate, data, 1))
