"""Everything a training is at the end of an epoch: what a checkpoint holds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from modelyard.progress import EpochReport
from modelyard.training.checkpoint import load_checkpoint, save_checkpoint


@dataclass(slots=True)
class TrainState:
    """Models by role, optimizer, loss scale, precision, what each image cost last and the epochs so far."""

    models: dict[str, nn.Module]
    """`model` is trained, `average` is the mean of its weights, `best` the average of the best validation
    epoch.
    """
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    precision: str
    losses_N: Tensor
    """The last training loss of each of N images; infinite where one was not seen yet."""
    history: list[EpochReport] = field(default_factory=list)

    @classmethod
    def fresh(
        cls, model: nn.Module, optimizer: torch.optim.Optimizer, num_images: int, precision: str
    ) -> TrainState:
        """Before the first epoch. fp16 needs its loss scaled (Micikevicius et al. 2018)."""
        models = {"model": model, "average": copy.deepcopy(model), "best": copy.deepcopy(model)}
        device = next(model.parameters()).device
        scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        return cls(models, optimizer, scaler, precision, torch.full((num_images,), torch.inf, device=device))

    @classmethod
    def restored(
        cls, model: nn.Module, optimizer: torch.optim.Optimizer, num_images: int, path: Path
    ) -> TrainState:
        """After the last epoch of a checkpoint, in its precision. Raises: TrainingError when the file is
        damaged.
        """
        state = cls.fresh(model, optimizer, num_images, "fp32")
        progress = load_checkpoint(path, state.models, optimizer, {"losses": state.losses_N})
        state.precision = progress["precision"]
        state.history = [EpochReport(**report) for report in progress["history"]]
        state.scaler = torch.amp.GradScaler(state.losses_N.device.type, enabled=state.precision == "fp16")
        state.scaler.load_state_dict(progress["scaler"])
        return state

    def save(self, path: Path) -> None:
        """Write the checkpoint in one replace."""
        history = [asdict(report) for report in self.history]
        progress = {"history": history, "precision": self.precision, "scaler": self.scaler.state_dict()}
        save_checkpoint(path, self.models, self.optimizer, {"losses": self.losses_N}, progress)

    @property
    def best(self) -> EpochReport | None:
        """The epoch whose weights are kept; None before the first."""
        return kept_epoch(self.history) if self.history else None


def kept_epoch(history: Sequence[EpochReport]) -> EpochReport:
    """The first of those with the lowest calibrated loss. Raises: ValueError when there is none."""
    return min(history, key=lambda report: report.calibrated_loss)
