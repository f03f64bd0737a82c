"""Everything a training is at the end of an epoch: what a checkpoint holds."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from modelyard.training.checkpoint import load_checkpoint, save_checkpoint


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one epoch came to; losses are mean cross-entropies in nats."""

    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(slots=True)
class TrainState:
    """Models by role, optimizer, loss scale, precision and the epochs so far."""

    models: dict[str, nn.Module]
    """`model` is trained, `average` is the mean of its weights, `best` the average of the best validation epoch."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    precision: str
    history: list[EpochReport] = field(default_factory=list)

    @classmethod
    def fresh(cls, model: nn.Module, optimizer: torch.optim.Optimizer, precision: str) -> TrainState:
        """Before the first epoch. fp16 needs its loss scaled (Micikevicius et al. 2018)."""
        models = {"model": model, "average": copy.deepcopy(model), "best": copy.deepcopy(model)}
        scaler = torch.amp.GradScaler(next(model.parameters()).device.type, enabled=precision == "fp16")
        return cls(models, optimizer, scaler, precision)

    @classmethod
    def restored(cls, model: nn.Module, optimizer: torch.optim.Optimizer, path: Path) -> TrainState:
        """After the last epoch of a checkpoint, in its precision. Raises: TrainingError when the file is damaged."""
        models = {"model": model, "average": copy.deepcopy(model), "best": copy.deepcopy(model)}
        progress = load_checkpoint(path, models, optimizer)
        precision, history = progress["precision"], [EpochReport(**report) for report in progress["history"]]
        scaler = torch.amp.GradScaler(next(model.parameters()).device.type, enabled=precision == "fp16")
        scaler.load_state_dict(progress["scaler"])
        return cls(models, optimizer, scaler, precision, history)

    def save(self, path: Path) -> None:
        """Write the checkpoint in one replace."""
        history = [asdict(report) for report in self.history]
        progress = {"history": history, "precision": self.precision, "scaler": self.scaler.state_dict()}
        save_checkpoint(path, self.models, self.optimizer, progress)

    @property
    def best(self) -> EpochReport | None:
        """The epoch of the lowest validation loss; None before the first."""
        return min(self.history, key=lambda report: report.validation_loss, default=None)
