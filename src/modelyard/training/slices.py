"""What each stage depends on of a recipe: only values that decide what is made, with the seed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from modelyard.config import Config, Part, change, fields_of
from modelyard.data.splits import DataConfig
from modelyard.models import AnyModelConfig
from modelyard.training.config import TrainingConfig
from modelyard.training.finetuning import FinetuneConfig
from modelyard.training.objectives import AnyObjectiveConfig, AnyPretext, DistilConfig
from modelyard.training.optim import OptimizerConfig


class TrainSlice(Config):
    """Of a training."""

    data: DataConfig
    model: Annotated[AnyModelConfig, Field(discriminator="architecture")]
    training: TrainingConfig
    seed: int
    pretrain: Annotated[AnyPretext, Field(discriminator="method")] | None = None
    """Of a pre-training only."""
    finetune: FinetuneConfig | None = None
    """Of a training that starts from weights."""
    distil: DistilConfig | None = None

    @property
    def objective(self) -> AnyObjectiveConfig | None:
        """What makes the objective; None: the classes of labelled samples."""
        return self.pretrain or self.distil or self.training.unlabelled


def pretrain_slice(slice: TrainSlice, pretrain: AnyPretext) -> TrainSlice:
    """Of the pre-training before `slice`: the same for all that differ in nothing but their fine-tuning.

    All training samples take part, whatever labels are left out.
    """
    training = change(
        TrainingConfig(), epochs=pretrain.epochs, batch_size=pretrain.batch_size,
        max_train_images=slice.training.max_train_images,
        precision=slice.training.precision, augment=slice.training.augment,
        optimizer=change(OptimizerConfig(), learning_rate=pretrain.learning_rate),
    )  # fmt: skip
    data = change(slice.data, labels=0, labels_seed=0)
    return TrainSlice(data=data, model=slice.model, training=training, seed=slice.seed, pretrain=pretrain)


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
