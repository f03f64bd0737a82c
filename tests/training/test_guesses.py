"""Laws of which epoch is kept where a network learns its own guesses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from modelyard.data.augmentation import AugmentConfig
from modelyard.data.batches import Feed
from modelyard.data.datasets import Split
from modelyard.training.objectives import FixMatchConfig, PseudoConfig
from modelyard.training.objectives.classification import Classification

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
