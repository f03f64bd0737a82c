"""After its first pass an epoch sees the hard images and some others; a rare class may weigh more or come
more often.
"""

from __future__ import annotations

import pytest
import torch

from modelyard.training.config import TrainingConfig, num_epochs, steps_before, steps_of_epoch
from modelyard.training.objectives.classification import class_weights
from modelyard.training.samplers import AnySampler, Balanced, ByLength, Hard, Shuffled


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(sampler: AnySampler, losses_N: torch.Tensor, seed: int = 0, epoch: int = 1) -> torch.Tensor:
    """All of an epoch, in order."""
    return torch.cat(list(sampler.batches(epoch, losses_N, generator(seed))))


def test_all_images_once_without_selection() -> None:
    for sampler, epoch in ((Shuffled(102, 7), 0), (Shuffled(102, 7), 3), (Hard(102, 7, 0.2), 0)):
        chosen_M = rows(sampler, torch.rand(102), epoch=epoch)
        assert sorted(chosen_M.tolist()) == list(range(102))
        assert chosen_M.tolist() != list(range(102))


LABELS = torch.tensor([0] * 70 + [1] * 30 + [2])
SAMPLERS: dict[str, AnySampler] = {
    "shuffled": Shuffled(101, 10), "hard": Hard(101, 10, 0.4), "few": Hard(2, 32, 0.4),
    "balanced": Balanced(LABELS, 10), "balanced, hard": Balanced(LABELS, 10, 0.3),
}  # fmt: skip


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_steps_are_the_batches_and_none_has_one_row(sampler: AnySampler) -> None:
    losses_N = torch.rand(101)
    batches = [list(sampler.batches(epoch, losses_N, generator(epoch))) for epoch in range(4)]
    assert sampler.steps(4) == tuple(len(epoch) for epoch in batches)
    assert sampler.steps(1) == sampler.steps(4)[:1]
    assert all(2 <= len(rows_B) <= max(10, len(epoch[0])) for epoch in batches for rows_B in epoch)


@pytest.mark.parametrize("name", ["hard", "balanced", "balanced, hard"])
def test_rounding_moves_no_row(name: str) -> None:
    """Losses of another number of processes differ by 1e-6: the same rows in the same places."""
    labels_N = torch.arange(20_000) % 3
    samplers: dict[str, AnySampler] = {
        "hard": Hard(20_000, 64, 0.4),
        "balanced": Balanced(labels_N, 64),
        "balanced, hard": Balanced(labels_N, 64, 0.3),
    }
    for seed in range(5):
        losses_N = -torch.rand(20_000, generator=generator(100 + seed)).log()
        other_N = losses_N * (1 + 1e-6 * torch.randn(20_000, generator=generator(200 + seed)))
        assert not torch.equal(losses_N.argsort(), other_N.argsort())
        sampler = samplers[name]
        assert torch.equal(rows(sampler, losses_N, seed), rows(sampler, other_N, seed))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.83])
def test_the_hardest_are_in_and_the_others_take_turns(share: float) -> None:
    losses_N = torch.rand(1009, generator=generator(7))
    losses_N[[3, 500]] = torch.inf  # not seen yet
    epochs = [set(rows(Hard(1009, 16, share), losses_N, seed).tolist()) for seed in range(400)]
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


@pytest.mark.parametrize(("images", "steps"), [(31, 1), (32, 1), (33, 1), (34, 2), (65, 2), (2, 1)])
def test_a_last_batch_of_one_is_no_step(images: int, steps: int) -> None:
    """Batch norm needs two; counted all the same, `min_steps` would not be reached."""
    config = TrainingConfig(batch_size=32, min_steps=60)
    assert steps_of_epoch(config, images, 0) == steps
    assert num_epochs(config, images) * steps >= 60


SIZES = {"even": [11, 11, 11], "rare": [600, 20, 1], "absent": [7, 0, 13], "two": [2, 1]}


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_balanced_sampling_draws_each_class_equally_often_and_no_image_before_its_turn(
    sizes: list[int], share: float
) -> None:
    labels_N = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    total, present = sum(sizes), sum(size > 0 for size in sizes)
    drawn = torch.zeros(len(sizes))
    for seed in range(60):
        sampler = Balanced(labels_N, total, share)
        chosen_M = rows(sampler, torch.rand(total, generator=generator(7)), seed)
        assert len(chosen_M) == min(total, max(2, round(total * share))), "as many rows as without"
        counts_K = torch.bincount(labels_N[chosen_M], minlength=len(sizes))
        assert counts_K[counts_K > 0].max() - counts_K[torch.tensor(sizes) > 0].min() <= 1
        times_N = torch.bincount(chosen_M, minlength=total)
        assert all(part_N.max() - part_N.min() <= 1 for part_N in torch.split(times_N, sizes) if len(part_N))
        drawn += counts_K
    assert all(
        (drawn / drawn.sum())[label] == pytest.approx((size > 0) / present, abs=0.12)
        for label, size in enumerate(sizes)
    )


def test_balanced_sampling_follows_its_seed_and_shows_all_of_a_large_class() -> None:
    labels_N = torch.tensor([0] * 90 + [1] * 10)
    draws = [rows(Balanced(labels_N, 20), torch.zeros(100), seed).tolist() for seed in (1, 1, *range(2, 30))]
    assert draws[0] == draws[1] != draws[2]
    assert {row for draw in draws for row in draw} == set(range(100)), "the large class takes turns"


def test_balanced_and_hard_takes_the_hard_images_of_each_class() -> None:
    labels_N = torch.tensor([0] * 80 + [1] * 20)
    losses_N = torch.linspace(0, 1, 100).roll(
        20
    )  # class 0 ends with its own largest losses, class 1 with small ones
    chosen = set(rows(Balanced(labels_N, 20, 0.2), losses_N).tolist())
    hardest = [
        set((rows_C[losses_N[rows_C].argsort(descending=True)[:5]]).tolist())
        for rows_C in (torch.arange(80), torch.arange(80, 100))
    ]
    assert hardest[0] <= chosen and hardest[1] <= chosen


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_balanced_weights_make_all_classes_count_alike_and_1_in_the_mean(sizes: list[int]) -> None:
    labels_N = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    weights_K = class_weights(labels_N)
    assert weights_K.dtype == torch.float32
    present = [size for size in sizes if size]
    assert weights_K.tolist() == pytest.approx(
        [sum(sizes) / (len(present) * size) if size else 0 for size in sizes]
    )
    assert weights_K[labels_N].mean().item() == pytest.approx(1)


@pytest.mark.parametrize("inner", ["shuffled", "hard", "few", "balanced", "balanced, hard"])
def test_batches_by_length_have_the_rows_and_sizes_of_those_they_are_made_of(inner: str) -> None:
    sampler, losses_N = SAMPLERS[inner], torch.rand(101)
    by_length = ByLength(sampler, torch.arange(101) * 7 % 13)
    for epoch in (0, 1, 2):
        given = list(sampler.batches(epoch, losses_N, generator(epoch)))
        made = by_length.batches(epoch, losses_N, generator(epoch))
        assert sorted(torch.cat(made).tolist()) == sorted(torch.cat(given).tolist())
        assert sorted(map(len, made)) == sorted(map(len, given))
        assert len(made) == by_length.steps(3)[epoch]


def test_batches_by_length_pad_little_and_follow_their_draw_alone() -> None:
    lengths_N = (-torch.rand(5000, generator=generator(3)).log() * 60).long() + 1
    sampler, losses_N = ByLength(Shuffled(5000, 32), lengths_N), torch.rand(5000)
    first, again, other = (sampler.batches(0, losses_N, generator(seed)) for seed in (1, 1, 2))
    assert all(map(torch.equal, first, again)) and not all(map(torch.equal, first, other))
    padded = sum(int(lengths_N[rows_B].max()) * len(rows_B) for rows_B in first)
    assert padded < 1.25 * lengths_N.sum(), "of random batches it is four times as much"
    means = torch.tensor([float(lengths_N[rows_B].float().mean()) for rows_B in first])
    assert means[:40].mean() == pytest.approx(means[-40:].mean(), rel=0.5), "short ones do not come first"
