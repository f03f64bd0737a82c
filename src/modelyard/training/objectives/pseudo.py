"""Unlabelled samples: pseudo."""

from __future__ import annotations

from typing import Literal

from modelyard.config import Config
from modelyard.data.batches import Feed
from modelyard.training.objectives.classification import Classification
from modelyard.training.protocols import Objective


class PseudoConfig(Config):
    """To be written."""

    method: Literal["pseudo"] = "pseudo"

    def objective(self, base: Classification, feed: Feed) -> Objective:
        """What is minimised."""
        raise NotImplementedError
