"""What each stage depends on of a recipe: only values that decide what is made, with the seed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from modelyard.config import Config, Part, fields_of
from modelyard.data.splits import DataConfig
from modelyard.models import AnyModelConfig
from modelyard.training.config import TrainingConfig


class TrainSlice(Config):
    """Of a training."""

    data: DataConfig
    model: Annotated[AnyModelConfig, Field(discriminator="architecture")]
    training: TrainingConfig
    seed: int


class ExportConfig(Config):
    """How a model is exported."""

    input: str | None = None
    """What the graph takes, where there is a choice (docs/text.md): strings, or bytes in UTF-8; None: what
    most clients have."""


class EvaluateSlice(Config):
    """Of an evaluation: how its images are divided."""

    data: DataConfig


class ExportSlice(TrainSlice):
    """Of a bundle: it tells all of its training."""

    dataset: str
    """The model's name."""
    export: ExportConfig = ExportConfig()

    def recipe(self) -> dict[str, Any]:
        """As the bundle tells it: all but what bounds reading."""
        return self.model_dump(
            mode="json", exclude={"dataset": True, "data": set(fields_of(DataConfig, Part.HOW))}
        )
