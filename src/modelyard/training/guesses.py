"""What objectives share that guess the classes of unlabelled samples.

B rows, K classes, N samples of a split.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from modelyard.data.batches import Batch
from modelyard.data.splits import TRUTH
from modelyard.training.objectives.classification import Classification

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


def labelled_losses(base: Classification, outputs_BK: Tensor, batch: Batch) -> Tensor:
    """Those of rows with a label, float32 [B]; of others they mean nothing."""
    return base.losses(outputs_BK, replace(batch, labels_B=batch.labels_B.clamp(min=0)))


def ratio_of(labels_N: Tensor, most: float) -> float:
    """Unlabelled rows for each labelled one in batches that have at most so many."""
    labelled = int((labels_N >= 0).sum())
    return min(most, (len(labels_N) - labelled) / max(1, labelled))
