"""Laws of learning one's own guesses: none is learnt as certain, and which epoch is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modelyard.config import change
from modelyard.data.augmentation import AugmentConfig
from modelyard.data.batches import Batch, Feed
from modelyard.data.datasets import Split
from modelyard.errors import ConfigError
from modelyard.training.objectives import FixMatchConfig, PseudoConfig
from modelyard.training.objectives.classification import Classification
from modelyard.training.protocols import Moment

CPU = torch.device("cpu")


@pytest.mark.parametrize("asked", [FixMatchConfig(), PseudoConfig()])
def test_the_fewest_errors_win_and_among_equals_the_least_calibrated_loss(
    asked: FixMatchConfig | PseudoConfig,
) -> None:
    """However sure the network is of them."""
    labels_N = np.array([0, 0, 1, 1])
    feed, trained_on = (
        Feed(Split(np.zeros((4, 1, 8, 8), np.uint8), values_N), CPU)
        for values_N in (labels_N, np.array([0, 1, -1, -1]))
    )
    objective = asked.objective(Classification(AugmentConfig()), trained_on)

    def minimised(*margins: float) -> float:
        """By how much the right class of each sample is ahead."""
        margins_N = torch.tensor(margins) * (1 - 2 * torch.tensor(labels_N))
        logits_NK = torch.stack([margins_N, torch.zeros(4)], 1)
        return objective.validate(lambda _samples_B: logits_NK, feed).calibrated_loss

    in_order = [(9, 9, 9, 9), (9, 9, 0.1, 9), (9, 9, 9, -0.1), (9, 9, 9, -99), (9, 9, -0.1, -0.1)]
    values = [minimised(*margins) for margins in in_order]
    assert values == sorted(set(values))
    assert [int(4 * value) for value in values] == [0, 0, 1, 1, 2]


def test_labels_and_guesses_are_smoothed_alike() -> None:
    """A network that answers as the smoothed labels say has nothing to learn, of either kind of row."""
    labels_B, moment = torch.tensor([0, -1]), Moment(0, 1, 0, torch.Generator())
    samples_B = torch.zeros(2, 1, 8, 8)
    batch = Batch(torch.arange(2), (samples_B, samples_B), labels_B)
    feed = Feed(Split(np.zeros((2, 1, 8, 8), np.uint8), labels_B.numpy()), CPU)
    objective = FixMatchConfig(smoothing=0.2, align=False).objective(Classification(AugmentConfig()), feed)
    logits_BK = torch.tensor([[0.9, 0.1]]).log().repeat(4, 1).requires_grad_()
    objective.loss(lambda _views_B: logits_BK, batch, moment).sum().backward()  # type: ignore[no-untyped-call]
    assert logits_BK.grad is not None and logits_BK.grad.abs().max() < 1e-6
    assert objective.report()["train/pseudo_label_share"] == 1


def test_a_threshold_that_no_guess_reaches_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"threshold \(0.95\) must be at most 1 - smoothing"):
        change(FixMatchConfig(), threshold=0.95)
    assert change(FixMatchConfig(), threshold=0.95, smoothing=0.0).threshold == 0.95
