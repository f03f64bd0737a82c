"""Our three networks of texts: presets that differ in what reads the embeddings alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from modelyard.models import TextCnnConfig, TextRnnConfig, TextTransformerConfig
from modelyard.recipes.recipe import Presets, Recipe
from modelyard.recipes.texts import lengths
from modelyard.sources.known import Traits

CHINESE = frozenset({"chnsenticorp", "thucnews-titles"})
"""A character is three bytes, and a word two characters."""
OF_WORDS = frozenset({"trec"})
"""Validation says so: short questions, in which blanks part punctuation, too."""
MEMBERS = 3


@dataclass(frozen=True, slots=True)
class Tuned:
    """One of them, and its peak learning rate."""

    model: type[TextCnnConfig] | type[TextRnnConfig] | type[TextTransformerConfig]
    small: dict[str, Any] = field(default_factory=dict)
    """What its layers are in the smallest of the presets."""
    single: dict[str, Any] = field(default_factory=dict)
    """What they are where symbols are words."""
    rate: float = 2e-3

    @property
    def presets(self) -> Presets:
        """By name."""
        return {
            "smoke": self.smoke, "sprint": self.sprint, "tiny": self.tiny, "standard": self.standard,
            "quality": self.quality,
        }  # fmt: skip

    def smoke(self, data: Traits) -> Recipe:
        """Tries the whole way in seconds."""
        model = self.model(ngrams=4, words=2, embedding=32, buckets=4096)
        return Recipe(model=model, training=lengths.smoke(2 * self.rate))

    def sprint(self, data: Traits) -> Recipe:
        """The shortest training that is nearly as good as `standard`."""
        training = lengths.sprint(2 * self.rate, data)
        return Recipe(model=self._large(data, embedding=32), training=training)

    def tiny(self, data: Traits) -> Recipe:
        """A model of few kilobytes."""
        model = self.model(ngrams=3, words=1, embedding=16, buckets=1024, dropout=0.1, **self.small)
        return Recipe(model=model, training=lengths.tiny(2 * self.rate, data))

    def standard(self, data: Traits) -> Recipe:
        """What is trained unless told otherwise."""
        return Recipe(model=self._large(data), training=lengths.standard(self.rate, data))

    def quality(self, data: Traits) -> Recipe:
        """As accurate as our network becomes, however long it takes: the mean of three."""
        training = lengths.quality(self.rate, data, MEMBERS)
        return Recipe(model=self._large(data, members=MEMBERS), training=training)

    def _large(
        self, data: Traits, *, embedding: int = 64, members: int = 1
    ) -> TextCnnConfig | TextRnnConfig | TextTransformerConfig:
        common: dict[str, Any] = {"embedding": embedding, "ngram_dropout": 0.3, "members": members}
        if data.name in OF_WORDS:
            return self.model(alphabet="words", ngrams=2, **common, **self.single)
        return self.model(ngrams=8 if data.name in CHINESE else 6, words=2, **common)


CNN = Tuned(TextCnnConfig, {"width": 32, "layers": 1})
RNN = Tuned(TextRnnConfig, {"hidden": 32}, single={"patch": 1})
TRANSFORMER = Tuned(TextTransformerConfig, {"width": 32, "layers": 1}, single={"patch": 1})
