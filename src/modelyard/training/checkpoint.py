"""One atomic safetensors file per training: tensors, and JSON in its header. Nothing is pickled."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from modelyard.errors import TrainingError
from modelyard.files import write_atomically

Progress = dict[str, Any]
MOST_SHARE = 0.02
"""Share of a training's time that its checkpoints may take."""


class Pace:
    """Says when the next checkpoint is due, so that all of them take at most `MOST_SHARE` of the time.

    The first is due at once. A context: what happens in it is the saving, which is timed.
    """

    def __init__(self) -> None:
        self._cost, self._since = 0.0, time.perf_counter()
        self.total = 0.0
        """Seconds of all savings."""

    def is_due(self) -> bool:
        """Whether the last saving is paid for by the time since."""
        return (time.perf_counter() - self._since) * MOST_SHARE >= self._cost

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cost, self._since = time.perf_counter() - self._since, time.perf_counter()
        self.total += self._cost


def save_checkpoint(
    path: Path,
    models: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    others: dict[str, Tensor],
    progress: Progress,
) -> None:
    """Write models (by role), optimizer state, other tensors (by name) and JSON progress in one replace."""
    tensors = {
        f"{role}.{name}": value
        for role, model in models.items()
        for name, value in model.state_dict().items()
    }
    tensors |= {f"others.{name}": value for name, value in others.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{index}.{name}": value for name, value in state.items() if isinstance(value, Tensor)
        }
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_atomically(path, save(contiguous, {"progress": json.dumps(progress)}))


def load_checkpoint(
    path: Path, models: dict[str, nn.Module], optimizer: torch.optim.Optimizer, others: dict[str, Tensor]
) -> Progress:
    """Restore in place; gives the progress. Raises: TrainingError when the file is damaged."""
    try:
        content = path.read_bytes()
        tensors = load(content)
        (header_size,) = struct.unpack("<Q", content[:8])
        progress: Progress = json.loads(json.loads(content[8 : 8 + header_size])["__metadata__"]["progress"])
        for role, model in models.items():
            model.load_state_dict(_below(tensors, role))
        _restore_optimizer(optimizer, _below(tensors, "optimizer"))
        for name, value in others.items():
            value.copy_(_below(tensors, "others")[name])
    except Exception as error:
        raise TrainingError(f"checkpoint {path} cannot be used ({error}); delete it to start over") from error
    return progress


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, moments in optimizer.state.items():
        for key, value in moments.items():
            if (
                value.shape == parameter.shape
            ):  # the parameter's memory format too, or the fused kernel rounds otherwise
                moments[key] = torch.empty_like(parameter).copy_(value)
