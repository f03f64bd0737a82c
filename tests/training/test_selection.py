"""After its first pass an epoch sees the hard images and some others, each at most once."""

from __future__ import annotations

import pytest
import torch

from modelyard.training.config import TrainingConfig, num_epochs, steps_before, steps_of_epoch
from modelyard.training.selection import choose_images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_images_once_without_selection() -> None:
    chosen_M = choose_images(torch.rand(101), 1.0, generator())
    assert sorted(chosen_M.tolist()) == list(range(101))
    assert chosen_M.tolist() != list(range(101))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.83])
def test_the_hardest_are_in_and_the_others_take_turns(share: float) -> None:
    losses_N = torch.rand(1009, generator=generator(7))
    losses_N[[3, 500]] = torch.inf  # not seen yet
    epochs = [set(choose_images(losses_N, share, generator(seed)).tolist()) for seed in range(400)]
    count = round(1009 * share)
    hardest = set(losses_N.argsort(descending=True)[: round(count / 2)].tolist())
    assert {3, 500} <= hardest
    assert all(len(epoch) == count and hardest <= epoch for epoch in epochs)
    assert set.union(*epochs) == set(range(1009))
    assert epochs[0] != epochs[1]


def test_steps_add_up_and_reach_the_least_number() -> None:
    config = TrainingConfig(batch_size=64, hard_share=0.25, epochs=3, min_steps=200)
    assert [steps_of_epoch(config, 1301, epoch) for epoch in (0, 1, 9)] == [21, 6, 6]
    assert [steps_before(config, 1301, epoch) for epoch in (0, 1, 2, 5)] == [0, 21, 27, 45]
    epochs = num_epochs(config, 1301)
    assert steps_before(config, 1301, epochs) >= 200 > steps_before(config, 1301, epochs - 1)
