"""Cross-entropy over classes. B rows, C channels, H height, W width, K classes, N images of a split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from modelyard.data.batches import Batch, Feed
from modelyard.evaluation.predict import calibrated_loss, logits_of
from modelyard.training.protocols import Augment, Coupling, Moment, Network, OneCall, Scores


@dataclass(frozen=True, slots=True)
class Classification(OneCall):
    """Cross-entropy with smoothed labels (Szegedy et al. 2016) on augmented images, classes weighted."""

    coupling: ClassVar[Coupling] = "sample"
    augment: Augment
    label_smoothing: float = 0.0
    weights_K: Tensor | None = None
    """What an image of each class counts, float32 on the device; None: all alike."""

    def views(self, batch: Batch, moment: Moment) -> Batch:
        """What the network is given of augmented samples."""
        (samples_B,) = batch.inputs
        return replace(batch, inputs=(self.augment.views(samples_B, moment.draw),))

    def counts(self, batch: Batch) -> Tensor:
        """Each image counts one, whatever its class weighs."""
        return torch.ones(len(batch.labels_B), device=batch.labels_B.device)

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Logits [B, K] of any precision -> float32 [B], nats."""
        losses_B = functional.cross_entropy(
            outputs.float(), batch.labels_B, label_smoothing=self.label_smoothing, reduction="none"
        )
        return losses_B if self.weights_K is None else losses_B * self.weights_K[batch.labels_B]

    def validate(self, network: Network, feed: Feed) -> Scores:
        """Unweighted and without smoothing."""
        logits_NK, labels_N = logits_of(network, feed), feed.labels_N.cpu()
        return Scores(
            calibrated_loss(logits_NK, labels_N),
            functional.cross_entropy(logits_NK, labels_N).item(),
            (logits_NK.argmax(1) == labels_N).float().mean().item(),
        )


def class_weights(labels_N: Tensor) -> Tensor:
    """What an image of each class counts, float32 [K]: N / (classes x images of the class), 1 in the mean
    over the images; 0 for a class without images.
    """
    sizes_K = torch.bincount(labels_N[labels_N >= 0])
    return torch.where(sizes_K > 0, int(sizes_K.sum()) / ((sizes_K > 0).sum() * sizes_K.clamp(min=1)), 0.0)
