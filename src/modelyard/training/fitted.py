"""A fitted model in its folder: what evaluation and export take. N images, K classes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import nn

from modelyard.config import Config
from modelyard.data.datasets import Split
from modelyard.evaluation.predict import predict_logits
from modelyard.files import write_json
from modelyard.models import AnyModelConfig
from modelyard.models.size import ModelSize, measure_size
from modelyard.progress import EpochReport
from modelyard.samples import Form, OneForm
from modelyard.samples.symbols import Symbols

BUILD_FILE, WEIGHTS_FILE, RESULT_FILE = "model.json", "weights.safetensors", "training.json"


class Fitted(Protocol):
    """A fitted model, whatever computes it."""

    @property
    def build(self) -> Build:
        """What it was made for."""

    def logits(self, split: Split) -> NDArray[np.float32]:
        """[N, K], on the CPU, before any temperature."""

    def size(self) -> ModelSize:
        """What it costs."""


class Build(Config):
    """What builds the network that a folder's weights fit."""

    model: Annotated[AnyModelConfig, Field(discriminator="architecture")]
    form: OneForm
    classes: tuple[str, ...]
    symbols: Symbols | None = None
    """How samples become what the network is given; None: as they are."""

    @classmethod
    def of(cls, model: AnyModelConfig, train: Split, classes: tuple[str, ...]) -> Self:
        """With what it learns of the training samples before it is built."""
        return cls(model=model, form=train.form, classes=classes, symbols=model.symbols(train))

    @property
    def taken(self) -> Form:
        """What the network is given."""
        form: Form = self.form
        return self.symbols.form(form) if self.symbols else form

    @property
    def files(self) -> dict[str, bytes]:
        """What makes a graph's input and is no part of it, by its name in a bundle."""
        return self.symbols.files if self.symbols else {}

    def network(self) -> nn.Module:
        """Untrained. Raises: ConfigError where it is not ours and fails."""
        return self.model.build(self.taken, len(self.classes))

    def encoded(self, split: Split) -> Split:
        """Its samples as the network is given them."""
        if self.symbols is None:
            return split
        return replace(split, samples=self.symbols.encoded(split.samples))


@dataclass(frozen=True, slots=True)
class TorchFitted:
    """A torch network in evaluation mode."""

    network: nn.Module
    build: Build

    def logits(self, split: Split) -> NDArray[np.float32]:
        """[N, K], on the CPU, before any temperature."""
        return predict_logits(self.network, self.build.encoded(split), torch.device("cpu")).numpy()

    def size(self) -> ModelSize:
        """What a forward pass of one sample costs."""
        return measure_size(self.network, self.build.taken)

    def save(self, folder: Path) -> None:
        """Weights and what builds the network that they fit."""
        weights = {
            name: value.cpu().contiguous().clone() for name, value in self.network.state_dict().items()
        }
        save_file(weights, folder / WEIGHTS_FILE)
        write_json(folder / BUILD_FILE, self.build.model_dump(mode="json"))

    @classmethod
    def open(cls, folder: Path, own_file: str = "") -> Self:
        """As `save` left it; `own_file` is where the user's own module lies now, if it is one."""
        build = Build.model_validate_json((folder / BUILD_FILE).read_bytes())
        if own_file:
            moved = build.model.model_copy(update={"file": own_file})
            build = build.model_copy(update={"model": moved})
        network = build.network()
        network.load_state_dict(load_file(folder / WEIGHTS_FILE))
        return cls(network.eval(), build)


def read_training(folder: Path) -> dict[str, Any]:
    """What a finished training tells of itself: `training.json`."""
    record: dict[str, Any] = json.loads((folder / RESULT_FILE).read_text())
    return record


def read_history(folder: Path) -> list[EpochReport]:
    """The epochs of a finished training."""
    return [EpochReport(**report) for report in read_training(folder)["history"]]
