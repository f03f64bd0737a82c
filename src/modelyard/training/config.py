"""How long and how a model is trained."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from modelyard.config import Config
from modelyard.data.augmentation import AugmentConfig
from modelyard.data.symbol_augmentation import SymbolAugment
from modelyard.training.drawing import num_batches, num_chosen
from modelyard.training.objectives import AnyUnlabelled
from modelyard.training.optim import OptimizerConfig
from modelyard.training.precision import Precision

ClassWeights = Literal["none", "balanced"]
Sampling = Literal["natural", "balanced"]


def named_method(value: Any) -> Any:
    """A method's name alone means its defaults."""
    return {"method": value} if isinstance(value, str) else value


class TrainingConfig(Config):
    """How long and how a model is trained."""

    epochs: int = Field(6, ge=1)
    """Passes over the training images."""
    min_steps: int = Field(0, ge=0)
    """Small data sets: epochs are added until this many optimizer steps are reached."""
    max_train_images: int = Field(0, ge=0)
    """Use only so many of the training images, evenly spaced; 0 uses all."""
    batch_size: int = Field(256, ge=2)
    """Images of one optimizer step, at most."""
    min_steps_per_epoch: int = Field(20, ge=1)
    """Small data sets: the batch shrinks, down to 32 images, until an epoch has this many steps."""
    hard_share: float = Field(1.0, gt=0, le=1)
    """Share of the images that epochs after the first train on: half of them those with the largest loss,
    half drawn from the others. 1 is all. Without effect where `unlabelled` ones take part."""
    class_weights: ClassWeights = "none"
    """`balanced`: an image of a rare class counts for more in the loss, so that all classes count alike.
    Validation and temperature stay unweighted. Nothing is left to weigh where `sampling` is balanced, too."""
    sampling: Sampling = "natural"
    """`balanced`: of each class equally many images in an epoch, those of rare ones several times."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Szegedy et al. 2016."""
    ema_decay: float = Field(0.0, ge=0, lt=1)
    """Moving average of the weights per step; 0 is off. The average is what is evaluated and exported."""
    clip_norm: float = Field(1.0, gt=0)
    """Largest gradient norm."""
    patience: int = Field(0, ge=0)
    """Stop after this many epochs without a better calibrated loss; 0 never stops early."""
    precision: Precision = "auto"
    """`auto`: bf16 where a probe finds it faster; fp16 scales the loss (Micikevicius et al. 2018)."""
    compile: bool = False
    """torch.compile: only worth its start-up in long runs."""
    optimizer: OptimizerConfig = OptimizerConfig()
    augment: AugmentConfig | SymbolAugment = AugmentConfig()
    unlabelled: Annotated[
        Annotated[AnyUnlabelled, Field(discriminator="method")] | None, BeforeValidator(named_method)
    ] = None
    """`fixmatch` or `pseudo`: what is learnt of samples without labels, those that `data.labels` leaves out
    or those of `data.unlabelled`."""


MIN_BATCH = 32


def num_epochs(config: TrainingConfig, num_samples: int) -> int:
    """Passes over `num_samples` images, so that `min_steps` is reached."""
    first, later = (steps_of_epoch(config, num_samples, epoch) for epoch in (0, 1))
    return max(config.epochs, 1 + math.ceil((config.min_steps - first) / later))


def steps_of_epoch(config: TrainingConfig, num_samples: int, epoch: int) -> int:
    """Optimizer steps of an epoch (from zero: the first sees all images); a last batch of one is none."""
    share = config.hard_share if epoch and config.unlabelled is None else 1.0
    images = num_chosen(num_samples, share)
    return num_batches(images, batch_size_for(config, num_samples))


def steps_before(config: TrainingConfig, num_samples: int, epoch: int) -> int:
    """Optimizer steps of all epochs before `epoch`."""
    first, later = (steps_of_epoch(config, num_samples, number) for number in (0, 1))
    return first + later * (epoch - 1) if epoch else 0


def batch_size_for(config: TrainingConfig, num_samples: int) -> int:
    """Images of one step: `batch_size`, or fewer where the data set is small."""
    return min(config.batch_size, max(MIN_BATCH, num_samples // config.min_steps_per_epoch))
