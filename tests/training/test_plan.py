"""A plan has a rate for each step; the rate rises, falls to zero, and never passes its peak."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from modelyard.recipes.cnn import PRESETS
from modelyard.recipes.named import ARCHITECTURES, make_recipe
from modelyard.training.config import TrainingConfig, batch_size_for, num_epochs, steps_before
from modelyard.training.plan import TrainingPlan
from modelyard.training.samplers import AnySampler, Balanced, Hard, Shuffled


def plan_of(images: int, **values: Any) -> TrainingPlan:
    config = TrainingConfig.model_validate({"batch_size": 10, "min_steps_per_epoch": 1} | values)
    return TrainingPlan.of(config, images, Shuffled(images, batch_size_for(config, images)))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.15, 0.5])
def test_the_rate_follows_its_formula(schedule: str, warmup: float) -> None:
    optimizer = {"schedule": schedule, "warmup_share": warmup, "learning_rate": 0.02}
    rates = plan_of(100, epochs=10, optimizer=optimizer).rates
    rising = max(1, round(warmup * 100))
    assert len(rates) == 100 and max(rates) == pytest.approx(0.02) == rates[rising - 1]
    for step, rate in enumerate(rates):
        done = (step - rising) / (100 - rising)
        falling = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}
        wanted = (step + 1) / rising if step < rising else falling[schedule]
        assert rate == pytest.approx(0.02 * wanted, rel=1e-12)


def test_moments_count_all_steps_once() -> None:
    plan, draw = plan_of(20, epochs=3), torch.Generator()
    moments = [moment for epoch in range(3) for moment in plan.moments(epoch, draw)]
    assert [moment.step for moment in moments] == list(range(sum(plan.steps)))
    assert [moment.epoch for moment in moments] == [0, 0, 1, 1, 2, 2]
    assert {moment.steps for moment in moments} == {len(plan.rates)} == {6}
    assert all(moment.draw is draw for moment in moments)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("images", [2, 33, 1301])
def test_a_plan_has_the_steps_that_are_told_before_it_is_made(preset: str, images: int) -> None:
    for architecture in ARCHITECTURES:
        config = make_recipe(architecture, preset).training
        size, share = batch_size_for(config, images), config.hard_share
        labels_N = torch.arange(images) % 3
        samplers: list[AnySampler] = [Hard(images, size, share), Balanced(labels_N, size, share)]
        for sampler in [*samplers, *([Shuffled(images, size)] if share == 1 else [])]:
            plan = TrainingPlan.of(config, images, sampler)
            assert plan.epochs == num_epochs(config, images)
            told = [steps_before(config, images, epoch) for epoch in range(plan.epochs + 1)]
            assert [plan.before(epoch) for epoch in range(plan.epochs + 1)] == told
            assert len(plan.rates) == sum(plan.steps) >= config.min_steps
