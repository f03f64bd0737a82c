"""Pre-training: what was hidden of a sample is predicted from the rest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from modelyard.data.batches import Feed
from modelyard.errors import ConfigError
from modelyard.models.network import members
from modelyard.samples import Form
from modelyard.training.objectives.classification import Classification
from modelyard.training.objectives.hidden_patches import HiddenPatches
from modelyard.training.objectives.hidden_symbols import HiddenSymbols
from modelyard.training.objectives.pretext import PretextConfig
from modelyard.training.protocols import Objective

WAYS: dict[str, type[HiddenPatches] | type[HiddenSymbols]] = {"image": HiddenPatches, "text": HiddenSymbols}


class MaskedConfig(PretextConfig):
    """Pixels of hidden squares, or hidden symbols, from the features of what is left."""

    method: Literal["masked"] = "masked"
    share: float | None = Field(None, gt=0, lt=1)
    """Hidden of a sample; None: of images a half, of texts a fifth."""
    run: int | None = Field(None, ge=1, le=32)
    """Places along a side of a hidden square, of the 32 at most that an image is predicted in; symbols of a
    text that are hidden together. None: 4, and 1."""

    told_by: Literal["features", "states"] = "features"
    """What hidden symbols are predicted from: the features, or each from the state of its place, which learns
    more of how texts are written and less of what they are about."""

    def check(self, form: Form, model: nn.Module) -> None:
        """Raises: ConfigError, for states of what has none, too."""
        PretextConfig.check(self, form, model)
        if self.told_by == "states" and not all(hasattr(some, "states") for some in members(model).values()):
            raise ConfigError(
                f"pretrain.told_by=states: expected a network with a state for each place, received one for "
                f"{form.names.many}; leave it out"
            )

    def objective(self, base: Classification, feed: Feed) -> Objective:
        """What is minimised."""
        way = WAYS[feed.form.kind]
        share, run = way.usual
        of_places = (True,) if self.told_by == "states" else ()
        return way.of(base.augment, feed, self.share or share, self.run or run, *of_places)
