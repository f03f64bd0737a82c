"""A network learns its own guesses of unlabelled samples, first not at all, then more and more (Lee 2013).

B rows, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from modelyard.config import Config
from modelyard.data.batches import Batch, Feed
from modelyard.training.guesses import Guesses, labelled_losses, least_errors, ratio_of
from modelyard.training.objectives.classification import Classification
from modelyard.training.protocols import Coupling, Moment, Network, Scores

BEGINS, WHOLE = 0.1, 0.6
"""Shares of all steps between which the weight of guesses rises."""


class PseudoConfig(Config):
    """Pseudo-labels: of each batch's unlabelled rows, whatever the network thinks they are at that time."""

    views: ClassVar[int] = 1
    """Of each row."""
    method: Literal["pseudo"] = "pseudo"
    threshold: float = Field(0.95, ge=0, lt=1)
    """Probability from which on a guess counts; the paper's is 0."""
    weight: float = Field(1.0, ge=0)
    """Of the unlabelled samples beside the labelled ones, in the end."""
    ratio: float = Field(4.0, gt=0)
    """Unlabelled samples for each labelled one in a batch; less where there are not so many."""

    def objective(self, base: Classification, feed: Feed) -> PseudoLabels:
        """What is minimised; `feed` has labelled and unlabelled samples."""
        return PseudoLabels(base, self.threshold, self.weight / ratio_of(feed.labels_N, self.ratio))


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """The same view of a row for the guess and for learning it."""

    coupling: ClassVar[Coupling] = "sample"
    base: Classification
    threshold: float
    scale: float
    """What an unlabelled row counts beside a labelled one in the end."""
    guesses: Guesses = field(default_factory=Guesses)

    def network(self, model: nn.Module) -> nn.Module:
        """The model itself."""
        return model

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """As without unlabelled samples."""
        return self.base.views(batch, moment)

    def counts(self, batch: Batch) -> Tensor:
        """Labelled rows count."""
        return (batch.labels_B >= 0).float()

    def loss(self, network: Network, batch: Batch, moment: Moment) -> Tensor:
        """Sums by row, float32 [B]."""
        outputs_BK = network(*batch.inputs).float()
        risen = min(1.0, max(0.0, (moment.step / moment.steps - BEGINS) / (WHOLE - BEGINS)))
        sure_B, guess_B = outputs_BK.detach().softmax(1).max(1)
        is_sure_B = sure_B > self.threshold
        self.guesses.add(guess_B, is_sure_B, batch)
        guessed_B = functional.cross_entropy(outputs_BK, guess_B, reduction="none") * is_sure_B
        known_B = labelled_losses(self.base, outputs_BK, batch)
        return torch.where(batch.labels_B >= 0, known_B, risen * self.scale * guessed_B)

    def validate(self, network: Network, feed: Feed) -> Scores:
        """The fewer errors the better."""
        return least_errors(self.base, network, feed)

    def report(self) -> dict[str, float]:
        """Of the guesses."""
        return self.guesses.report()
