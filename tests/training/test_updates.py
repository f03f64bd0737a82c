"""One step: the gradient is that of sum(losses) / total(counts), clipped; losses are remembered by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modelyard.data.augmentation import AugmentConfig
from modelyard.data.batches import Batch
from modelyard.data.datasets import Dataset
from modelyard.data.splits import Splits
from modelyard.training.config import TrainingConfig
from modelyard.training.kernels import equal_seeds_equal_weights
from modelyard.training.loop import _take_over
from modelyard.training.objectives import Classification
from modelyard.training.parts import make_parts, make_update
from modelyard.training.placement import Single
from modelyard.training.plan import TrainingPlan
from modelyard.training.protocols import Moment
from modelyard.training.state import TrainState
from modelyard.training.updates import Eager

SINGLE = Single(torch.device("cpu"))
MOMENT = Moment(1, 3, 0, torch.Generator())


class Tokens(Classification):
    """Counts a row by its label, as a row's tokens would be."""

    def counts(self, batch: Batch) -> Tensor:
        return batch.labels_B.float()


@pytest.mark.parametrize("kind", [Classification, Tokens])
@pytest.mark.parametrize("clip_norm", [0.01, 1e6])
def test_a_step_is_the_plain_formula(kind: type[Classification], clip_norm: float) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    images_BCHW = torch.randint(0, 256, (9, 1, 3, 4), dtype=torch.uint8)
    labels_B, weights_K = torch.tensor([0, 1, 2, 3, 3, 3, 1, 1, 2]), torch.tensor([2.0, 1.0, 0.5, 1.5])
    optimizer = torch.optim.SGD(network.parameters(), lr=99.0)
    state = TrainState.fresh(network, optimizer, 9, averaged=False)
    objective = kind(AugmentConfig(shift=0), 0.1, weights_K)
    update = Eager(objective, SINGLE, TrainingPlan((3,), (0.0, 0.25, 0.0)), network, clip_norm)

    before = [parameter.detach().clone() for parameter in network.parameters()]
    losses_B = functional.cross_entropy(
        network(images_BCHW / 255), labels_B, label_smoothing=0.1, reduction="none"
    )
    losses_B = losses_B * weights_K[labels_B]
    total = 9 if kind is Classification else int(labels_B.sum())
    gradients = torch.autograd.grad(losses_B.sum() / total, list(network.parameters()))
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    scale = min(1.0, clip_norm / float(norm))

    given = update(state, Batch(torch.arange(9), (images_BCHW,), labels_B), MOMENT)
    torch.testing.assert_close(given, losses_B.detach())
    assert not given.requires_grad
    for parameter, old, gradient in zip(network.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(parameter.detach(), old - 0.25 * scale * gradient, rtol=1e-4, atol=1e-7)


def test_the_last_loss_of_a_row_is_remembered_and_steps_count_alike(digits: Dataset) -> None:
    few = digits.train.take(np.arange(6))
    parts = make_parts(Splits(few, few, few), TrainingConfig(precision="fp32"), 0, SINGLE)
    network = nn.Linear(1, 1)
    state = TrainState.fresh(network, torch.optim.SGD(network.parameters()), 6, averaged=False)
    shares = [torch.tensor([4, 0, 4, 1]), torch.tensor([0, 5])]
    losses = [torch.tensor([1.0, 2.0, 3.0, 6.0]), torch.tensor([7.0, 9.0])]
    assert _take_over(state, shares, losses, parts) == (3.0 + 8.0) / 2
    assert state.losses_N.tolist() == [7.0, 6.0, torch.inf, torch.inf, 3.0, 9.0]


def test_a_sampler_that_draws_other_batches_than_are_planned_is_an_error(digits: Dataset) -> None:
    """Rates and moments are by step: a silent difference would shift all of them."""
    few = digits.train.take(np.arange(6))
    parts = make_parts(Splits(few, few, few), TrainingConfig(precision="fp32"), 0, SINGLE)
    longer = replace(parts.plan, steps=(2,))
    rows = [torch.arange(6)]
    with pytest.raises(ValueError, match="zip"):
        list(zip(parts.feed.batches(rows), longer.moments(0, torch.Generator()), strict=True))


def test_an_update_runs_in_the_precision_of_its_state(digits: Dataset) -> None:
    few = digits.train.take(np.arange(6))
    parts = make_parts(Splits(few, few, few), TrainingConfig(precision="bf16"), 0, SINGLE)
    network = SINGLE.place(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    state = TrainState.fresh(network, torch.optim.SGD(network.parameters()), 6, averaged=False)
    state.use("bf16", SINGLE.device)
    update = make_update(state, TrainingConfig(), parts)
    assert update.forward(torch.rand(2, 1, 28, 28)).dtype == torch.bfloat16


def test_a_cpu_is_not_asked_for_other_kernels() -> None:
    with equal_seeds_equal_weights(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_card_is_asked_for_deterministic_kernels_and_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.cuda, "device", lambda _: torch.no_grad())
    with pytest.raises(RuntimeError, match="inside"), equal_seeds_equal_weights(torch.device("cuda", 1)):
        import os

        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic
        raise RuntimeError("inside")
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic
