"""Pre-training: what was hidden of a sample is predicted from the rest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from modelyard.data.batches import Feed
from modelyard.training.objectives.classification import Classification
from modelyard.training.objectives.hidden_patches import HiddenPatches
from modelyard.training.objectives.hidden_symbols import HiddenSymbols
from modelyard.training.objectives.pretext import PretextConfig
from modelyard.training.protocols import Objective

WAYS: dict[str, type[HiddenPatches] | type[HiddenSymbols]] = {"image": HiddenPatches, "text": HiddenSymbols}


class MaskedConfig(PretextConfig):
    """Pixels of hidden squares from the features, hidden symbols from the states of their places."""

    method: Literal["masked"] = "masked"
    share: float | None = Field(None, gt=0, lt=1)
    """Hidden of a sample; None: of images a half, of texts a fifth."""
    run: int | None = Field(None, ge=1, le=32)
    """Places along a side of a hidden square, of the 32 at most that an image is predicted in; symbols of a
    text that are hidden together. None: 4, and 1."""

    def objective(self, base: Classification, feed: Feed) -> Objective:
        """What is minimised."""
        way = WAYS[feed.form.kind]
        share, run = way.usual
        return way.of(base.augment, feed, self.share or share, self.run or run)
