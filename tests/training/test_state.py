"""A state is tensors by name: it comes back from a checkpoint, and lends its average to the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from modelyard.errors import TrainingError
from modelyard.training.averaging import Averaging, decay_at
from modelyard.training.checkpoint import is_readable, load_checkpoint, save_checkpoint
from modelyard.training.optim import OptimizerConfig
from modelyard.training.placement import Single
from modelyard.training.protocols import Moment
from modelyard.training.state import TrainState

SINGLE = Single(torch.device("cpu"))


def network() -> nn.Module:
    return SINGLE.place(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2)))


def trained(optimizer: OptimizerConfig, *, steps: int = 3, averaged: bool = True) -> TrainState:
    state_network = network()
    state = TrainState.fresh(state_network, optimizer.build(state_network), 7, averaged=averaged)
    after_steps = [Averaging(state, 0.9)] if averaged else []
    for step in range(steps):
        state_network(torch.randn(5, 3, 5, 5)).square().sum().backward()
        state.optimizer.step()
        state.optimizer.zero_grad()
        for after in after_steps:
            after(state, Moment(step, steps, 0, torch.Generator()))
    state.losses_N[2:4] = torch.tensor([0.5, 1.5])
    state.keep()
    return state


@pytest.mark.parametrize("optimizer", [OptimizerConfig(), OptimizerConfig(name="sgd")], ids=["adamw", "sgd"])
def test_a_checkpoint_is_the_state_by_parameter_name(optimizer: OptimizerConfig, tmp_path: Path) -> None:
    state, other, file = trained(optimizer), trained(optimizer, steps=1), tmp_path / "c"
    save_checkpoint(file, SINGLE.whole(state), state.numbers())
    names = set(load_file(file))
    moments = {"adamw": ("step", "exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer",)}[optimizer.name]
    parameters = {name for name, _ in state.network.named_parameters()}
    assert {f"optimizer.{moment}.{name}" for moment in moments for name in parameters} <= names
    assert {"model.0.weight", "average.1.running_mean", "best.1.num_batches_tracked", "losses"} <= names
    tensors, numbers = load_checkpoint(file)
    SINGLE.restore(other, tensors)
    other.load_numbers(numbers, SINGLE.device)
    first, second = state.tensors(), other.tensors()
    assert first.keys() == second.keys() == names
    assert all(torch.equal(first[name], second[name]) for name in names)
    assert all(first[name].stride() == second[name].stride() for name in names if "best" not in name)
    for same in (state, other):  # the next step is the same, too
        same.network(torch.ones(5, 3, 5, 5)).square().sum().backward()
        same.optimizer.step()
    assert torch.equal(state.network.state_dict()["0.weight"], other.network.state_dict()["0.weight"])


def test_the_average_is_lent_to_the_network_and_taken_back() -> None:
    state = trained(OptimizerConfig())
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    average = {name: value.clone() for name, value in state.average.items()}
    with state.averaged():
        inside = {name: value.clone() for name, value in state.network.state_dict().items()}
    assert all(torch.equal(inside[name], average[name]) for name in average)
    assert not torch.equal(inside["0.weight"], before["0.weight"])
    assert inside["1.num_batches_tracked"] == before["1.num_batches_tracked"] == 3
    assert all(torch.equal(value, before[name]) for name, value in state.network.state_dict().items())
    assert all(torch.equal(value, average[name]) for name, value in state.average.items())


def test_the_average_is_the_plain_formula() -> None:
    weights, state = [torch.zeros(())], trained(OptimizerConfig(), steps=0)
    own, averaging = state.network.state_dict()["3.bias"], Averaging(state, 0.7)
    expected = state.average["3.bias"].double()
    for step in range(20):
        own.copy_(torch.randn(2))
        averaging(state, Moment(step, 20, 0, torch.Generator()))
        decay = min(0.7, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * own.double()
        weights.append(own.clone())
    torch.testing.assert_close(state.average["3.bias"].double(), expected, rtol=1e-5, atol=1e-7)
    assert decay_at(0, 0.99) == 0.1 and decay_at(10**6, 0.99) == 0.99


def test_without_an_average_the_network_itself_is_evaluated() -> None:
    state = trained(OptimizerConfig(), averaged=False)
    before = state.network.state_dict()["0.weight"].clone()
    with state.averaged():
        assert torch.equal(state.network.state_dict()["0.weight"], before)
    assert not [name for name in state.tensors() if name.startswith("average.")]


def test_a_checkpoint_of_a_former_version_is_warned_of_and_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "c"
    save_file({"model.0.weight": torch.zeros(1)}, file, {"progress": json.dumps({"history": []})})
    assert not is_readable(file)
    assert "is of another version of modelyard: the training begins anew" in caplog.text
    assert not is_readable(tmp_path / "absent")


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}"], ids=["empty", "noise", "bare"]
)
def test_a_damaged_checkpoint_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(TrainingError, match=r"cannot be used .* delete it to start over"):
        is_readable(tmp_path / "c")
