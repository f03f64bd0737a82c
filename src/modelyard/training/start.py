"""What a network starts from: brought or pre-trained weights, or chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from modelyard.files import parse_json, read_regular
from modelyard.training.fitted import BUILD_FILE, RESULT_FILE, WEIGHTS_FILE, Build, read_training
from modelyard.training.job import TrainJob

SOURCES = ("pretrain", "weights")
"""Names of the steps that may give weights, the one that comes last first."""
RECORD_FILE = "brought.json"
"""Where brought weights are from, their licence, and what of them was taken over."""
RECORD_BYTES = 4_000_000


def source_of(job: TrainJob) -> Path | None:
    """The folder whose weights a training starts from."""
    return next((folder for name in SOURCES if (folder := job.folder(name))), None)


def begun(job: TrainJob, build: Build) -> Build:
    """`build` with the symbols that the weights were made for."""
    folder = source_of(job)
    if folder is None:
        return build
    before = Build.model_validate_json((folder / BUILD_FILE).read_bytes())
    return build.model_copy(update={"symbols": before.symbols})


def start(network: nn.Module, job: TrainJob) -> None:
    """Take over what fits of the weights."""
    if folder := source_of(job):
        tensors = load_file(folder / WEIGHTS_FILE)
        own = network.state_dict()
        fits = {
            name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape
        }
        network.load_state_dict(fits, strict=False)


def brought_by(job: TrainJob) -> dict[str, Any]:
    """What `training.json`, and the manifest from there, says of brought weights, also of those that a
    pre-training began with.
    """
    folder = source_of(job)
    if folder is None:
        return {}
    if (folder / RECORD_FILE).is_file():
        return {"init": parse_json(read_regular(folder / RECORD_FILE, RECORD_BYTES))}
    told = read_training(folder) if (folder / RESULT_FILE).is_file() else {}
    return {"init": told["init"]} if "init" in told else {}
