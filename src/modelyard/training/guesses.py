"""What objectives share that guess the classes of unlabelled samples.

B rows, K classes, N samples of a split.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from modelyard.data.batches import Batch, Feed
from modelyard.data.splits import TRUTH
from modelyard.training.objectives.classification import Classification
from modelyard.training.protocols import Network, Scores

PRIOR = 1000.0
"""So many rows that are answered as often as labelled stand at the beginning of an epoch."""
SHARE, ACCURACY = "train/pseudo_label_share", "train/pseudo_label_accuracy"


@dataclass(slots=True)
class Guesses:
    """How many were made since the last report, and how many of them were right."""

    counts: list[Tensor] = field(default_factory=list)
    """Of each batch: unlabelled rows, those with a guess, those of them whose class is known, right ones."""

    def add(self, guess_B: Tensor, is_made_B: Tensor, batch: Batch) -> None:
        """Those of a batch; rows with a label do not count."""
        is_unknown_B = batch.labels_B < 0
        truth_B = batch.columns.get(TRUTH, torch.full_like(batch.labels_B, -1))
        is_made_B = is_made_B & is_unknown_B
        is_known_B = is_made_B & (truth_B >= 0)
        parts = (is_unknown_B, is_made_B, is_known_B, is_known_B & (truth_B == guess_B))
        self.counts.append(torch.stack([part.sum() for part in parts]))

    def report(self) -> dict[str, float]:
        """Share of the unlabelled samples that had a guess, and its accuracy where classes are known."""
        if not self.counts:
            return {}
        unknown, made, known, right = torch.stack(self.counts).sum(0).tolist()
        self.counts.clear()
        return {SHARE: made / max(1, unknown)} | ({ACCURACY: right / known} if known else {})


@dataclass(slots=True)
class Alignment:
    """Answers for unlabelled rows, so that each class is guessed as often as it is labelled (distribution
    alignment: Berthelot et al. 2020). It begins anew with each epoch, so that a resume changes nothing.
    """

    labelled_K: Tensor
    """Shares of the labelled rows by class, as far as there are any."""
    sum_K: Tensor | None = None
    """Of the answers of this epoch."""

    def __call__(self, answers_BK: Tensor, batch: Batch) -> Tensor:
        """Probabilities, sums 1; those of rows with a label mean nothing."""
        wanted_K = functional.pad(self.labelled_K, (0, answers_BK.shape[1] - len(self.labelled_K)))
        before_K = PRIOR * wanted_K if self.sum_K is None else self.sum_K
        self.sum_K = before_K + (answers_BK * (batch.labels_B < 0)[:, None]).sum(0)
        aligned_BK = answers_BK * (wanted_K / (self.sum_K / self.sum_K.sum()).clamp(min=1e-6))
        return aligned_BK / aligned_BK.sum(1, keepdim=True).clamp(min=1e-6)

    def begin(self) -> None:
        """An epoch."""
        self.sum_K = None


def labelled_losses(base: Classification, outputs_BK: Tensor, batch: Batch) -> Tensor:
    """Those of rows with a label, float32 [B]; of others they mean nothing."""
    return base.losses(outputs_BK, replace(batch, labels_B=batch.labels_B.clamp(min=0)))


def ratio_of(labels_N: Tensor, most: float) -> float:
    """Unlabelled rows for each labelled one in batches that have at most so many."""
    labelled = int((labels_N >= 0).sum())
    return min(most, (len(labels_N) - labelled) / max(1, labelled))


def least_errors(base: Classification, network: Network, feed: Feed) -> Scores:
    """What is minimised is the share of validation samples that are answered wrongly; of epochs with equally
    many the one with the least calibrated loss is kept.

    The loss alone keeps an early epoch: who learns its own guesses grows sure of the wrong ones, too, so that
    the loss rises while the errors get fewer, and one temperature for all samples does not mend that.
    """
    scores = base.validate(network, feed)
    tie_break = scores.calibrated_loss / (1 + scores.calibrated_loss) / len(feed.labels_N)
    return replace(scores, calibrated_loss=1 - scores.validation_accuracy + tie_break)
