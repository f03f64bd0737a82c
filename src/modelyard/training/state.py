"""State of a training at the end of an epoch: tensors by parameter name, and plain numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from modelyard.progress import EpochReport

Tensors = dict[str, Tensor]


@dataclass(slots=True)
class TrainState:
    """Weights, optimizer, loss scale, precision, what each image cost last and the epochs so far."""

    network: nn.Module
    """What is trained."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    precision: str
    losses_N: Tensor
    """The last training loss of each of N images, on the CPU; infinite where one was not seen yet."""
    average: Tensors
    """The mean of the network's floating-point weights; empty where none is kept."""
    best: Tensors = field(default_factory=dict)
    """All weights as they were evaluated in the best epoch; empty before the first."""
    history: list[EpochReport] = field(default_factory=list)

    @classmethod
    def fresh(
        cls, network: nn.Module, optimizer: torch.optim.Optimizer, num_samples: int, *, averaged: bool
    ) -> TrainState:
        """Before the first epoch, in fp32."""
        weights = network.state_dict().items() if averaged else ()
        average = {name: value.clone() for name, value in weights if value.is_floating_point()}
        scaler, losses_N = torch.amp.GradScaler(enabled=False), torch.full((num_samples,), torch.inf)
        return cls(network, optimizer, scaler, "fp32", losses_N, average)

    def use(self, precision: str, device: torch.device) -> None:
        """Go on in fp32, bf16 or fp16, which needs its loss scaled (Micikevicius et al. 2018)."""
        self.precision = precision
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network has its average's weights. They are copied: what a kernel has laid out stays there."""
        weights = self.network.state_dict()
        own = {name: weights[name].clone() for name in self.average}
        _copy(self.average, weights)
        yield
        _copy(own, weights)

    def keep(self) -> None:
        """The network's weights are the best so far."""
        self.best = {name: value.clone() for name, value in self.network.state_dict().items()}

    def finish(self, report: EpochReport) -> None:
        """An epoch ended with the weights that the network has now: they are kept where none was better."""
        self.history.append(report)
        if self.best_report is report:
            self.keep()

    def tensors(self) -> Tensors:
        """All of them by name: `model.`, `average.`, `best.`, `optimizer.<moment>.` and `losses`."""
        return {
            **_named("model", self.network.state_dict()),
            **_named("average", self.average),
            **_named("best", self.best),
            **_named("optimizer", {f"{moment}.{name}": value for moment, name, value in self._moments()}),
            "losses": self.losses_N,
        }

    def numbers(self) -> dict[str, Any]:
        """What is no tensor, as JSON."""
        history = [asdict(report) for report in self.history]
        return {"history": history, "precision": self.precision, "scaler": self.scaler.state_dict()}

    def load(self, tensors: Tensors) -> None:
        """Take over what `tensors` gave. Raises: KeyError, RuntimeError where it is of another network."""
        self.network.load_state_dict(_below(tensors, "model"))
        _copy({name: tensors[f"average.{name}"] for name in self.average}, self.average)
        self.losses_N.copy_(tensors["losses"])
        weights = self.network.state_dict()
        self.best = {name: value.to(weights[name].device) for name, value in _below(tensors, "best").items()}
        parameters = dict(self.network.named_parameters())
        for name, value in _below(tensors, "optimizer").items():
            moment, _, parameter = name.partition(".")
            self.optimizer.state[parameters[parameter]][moment] = _like(parameters[parameter], value)

    def load_numbers(self, numbers: dict[str, Any], device: torch.device) -> None:
        """Take over what `numbers` gave."""
        self.history = [EpochReport(**report) for report in numbers["history"]]
        self.use(numbers["precision"], device)
        self.scaler.load_state_dict(numbers["scaler"])

    def _moments(self) -> Iterator[tuple[str, str, Tensor]]:
        for name, parameter in self.network.named_parameters():
            for moment, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    yield moment, name, value

    @property
    def best_report(self) -> EpochReport | None:
        """The epoch whose weights are kept; None before the first."""
        return kept_epoch(self.history) if self.history else None


def kept_epoch(history: Sequence[EpochReport]) -> EpochReport:
    """The first of those with the lowest calibrated loss. Raises: ValueError when there is none."""
    return min(history, key=lambda report: report.calibrated_loss)


@torch.no_grad()
def _copy(values: Tensors, into: Tensors) -> None:
    for name, value in values.items():
        into[name].copy_(value)


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """On its device, and with its memory format, or the fused kernel rounds otherwise."""
    same = value.shape == parameter.shape
    return torch.empty_like(parameter.detach()).copy_(value) if same else value.to(parameter.device)


def _named(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _below(tensors: Tensors, prefix: str) -> Tensors:
    return {
        name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")
    }
