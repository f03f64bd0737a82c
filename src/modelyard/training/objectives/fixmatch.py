"""What a network is sure of for a sample hardly changed, it learns for the same strongly changed (FixMatch:
Sohn et al. 2020).

B rows, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from modelyard.config import Config
from modelyard.data.batches import Batch, Feed
from modelyard.training.guesses import Alignment, Guesses, labelled_losses, least_errors, ratio_of
from modelyard.training.objectives.classification import Classification
from modelyard.training.protocols import Coupling, Moment, Network, Scores


class FixMatchConfig(Config):
    """FixMatch: each row is seen twice, as ever and strongly changed."""

    views: ClassVar[int] = 2
    """Of each row: what a step costs is what a step of so many times the rows costs."""
    method: Literal["fixmatch"] = "fixmatch"
    threshold: float = Field(0.6, ge=0, lt=1)
    """Probability from which on a guess counts; the paper's is 0.95, of labels that are not smoothed."""
    smoothing: float = Field(0.1, ge=0, lt=1)
    """At least so much of each label and guess is spread over all classes, since a network that learns its
    guesses as certain is soon sure of all of them, wrong ones, too."""
    weight: float = Field(1.0, ge=0)
    """Of the unlabelled samples beside the labelled ones."""
    ratio: float = Field(4.0, gt=0)
    """Unlabelled samples for each labelled one in a batch; less where there are not so many."""
    align: bool = True
    """Whether each class is to be guessed as often as it is labelled."""

    @model_validator(mode="after")
    def _guesses_can_be_sure(self) -> FixMatchConfig:
        if self.threshold > 1 - self.smoothing:
            raise ValueError(
                f"threshold ({self.threshold:g}) must be at most 1 - smoothing ({1 - self.smoothing:g}): no "
                "guess is surer than the labels"
            )
        return self

    def objective(self, base: Classification, feed: Feed) -> FixMatch:
        """What is minimised; `feed` has labelled and unlabelled samples."""
        base = replace(base, label_smoothing=max(base.label_smoothing, self.smoothing))
        scale = self.weight / ratio_of(feed.labels_N, self.ratio)
        counts_K = torch.bincount(feed.labels_N[feed.labels_N >= 0]).float()
        return FixMatch(
            base, self.threshold, scale, Alignment(counts_K / counts_K.sum()) if self.align else None
        )


@dataclass(frozen=True, slots=True)
class FixMatch:
    """One forward pass of all views: labels count for both views of a row, a guess from the one view for the
    other.
    """

    coupling: ClassVar[Coupling] = "sample"
    base: Classification
    threshold: float
    scale: float
    """What an unlabelled row counts beside a labelled one."""
    alignment: Alignment | None = None
    guesses: Guesses = field(default_factory=Guesses)

    def network(self, model: nn.Module) -> nn.Module:
        """The model itself."""
        return model

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """Two inputs, so that the views of a row stay together where a batch is cut."""
        (samples_B,) = batch.inputs
        augments = self.base.augment, self.base.augment.stronger(samples_B.shape[1:])
        return replace(batch, inputs=tuple(augment.views(samples_B, moment.draw) for augment in augments))

    def counts(self, batch: Batch) -> Tensor:
        """Labelled rows count."""
        return (batch.labels_B >= 0).float()

    def loss(self, network: Network, batch: Batch, moment: Moment) -> Tensor:
        """Sums by row, float32 [B]."""
        weak_BK, strong_BK = network(torch.cat(batch.inputs)).float().chunk(2)
        answers_BK = weak_BK.detach().softmax(1)
        if self.alignment is not None:
            answers_BK = self.alignment(answers_BK, batch)
        sure_B, guess_B = answers_BK.max(1)
        is_sure_B = sure_B > self.threshold
        self.guesses.add(guess_B, is_sure_B, batch)
        known_B = (
            sum(labelled_losses(self.base, outputs_BK, batch) for outputs_BK in (weak_BK, strong_BK)) / 2
        )
        guessed_B = is_sure_B * functional.cross_entropy(
            strong_BK, guess_B, reduction="none", label_smoothing=self.base.label_smoothing
        )
        return torch.where(batch.labels_B >= 0, known_B, self.scale * guessed_B)

    def validate(self, network: Network, feed: Feed) -> Scores:
        """The fewer errors the better."""
        return least_errors(self.base, network, feed)

    def report(self) -> dict[str, float]:
        """Of the guesses."""
        if self.alignment is not None:
            self.alignment.begin()
        return self.guesses.report()
