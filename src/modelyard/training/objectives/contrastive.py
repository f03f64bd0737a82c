"""Pre-training: contrastive."""

from __future__ import annotations

from typing import Literal

from modelyard.data.batches import Feed
from modelyard.training.objectives.classification import Classification
from modelyard.training.objectives.pretext import PretextConfig
from modelyard.training.protocols import Objective


class ContrastiveConfig(PretextConfig):
    """To be written."""

    method: Literal["contrastive"] = "contrastive"

    def objective(self, base: Classification, feed: Feed) -> Objective:
        """What is minimised."""
        raise NotImplementedError
