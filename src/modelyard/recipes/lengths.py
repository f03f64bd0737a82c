"""How long the presets train, with what is the same for all architectures; how images are varied."""

from __future__ import annotations

from modelyard.config import change
from modelyard.data.augmentation import AugmentConfig
from modelyard.sources.known import Traits
from modelyard.training.config import TrainingConfig
from modelyard.training.optim import OptimizerConfig


def adamw(rate: float, *, weight_decay: float = 1e-2) -> OptimizerConfig:
    """With this peak learning rate."""
    return OptimizerConfig(learning_rate=rate, weight_decay=weight_decay)


def smoke(optimizer: OptimizerConfig, augment: AugmentConfig) -> TrainingConfig:
    """One pass over few images."""
    return TrainingConfig(
        epochs=1, min_steps=60, max_train_images=12_000, optimizer=optimizer, augment=augment
    )


def sprint(
    optimizer: OptimizerConfig, augment: AugmentConfig, *, epochs: int = 6, batch_size: int = 256
) -> TrainingConfig:
    """After the first pass a third of the images, half of them the hardest."""
    return TrainingConfig(
        epochs=epochs,
        min_steps=300,
        batch_size=batch_size,
        hard_share=0.33,
        ema_decay=0.98,
        optimizer=optimizer,
        augment=augment,
    )


def standard(
    optimizer: OptimizerConfig, augment: AugmentConfig, *, epochs: int, hard_share: float = 1.0
) -> TrainingConfig:
    """Passes over all images, with an average of the weights."""
    return TrainingConfig(
        epochs=epochs,
        min_steps=500,
        hard_share=hard_share,
        ema_decay=0.98,
        optimizer=optimizer,
        augment=augment,
    )


def tiny(optimizer: OptimizerConfig, augment: AugmentConfig, *, epochs: int) -> TrainingConfig:
    """Small networks learn longer: half of the images, three times as often as `standard`."""
    return TrainingConfig(
        epochs=epochs, min_steps=1500, hard_share=0.5, ema_decay=0.98, optimizer=optimizer, augment=augment
    )


def quality(
    optimizer: OptimizerConfig, augment: AugmentConfig, *, epochs: int, hard_share: float = 1.0
) -> TrainingConfig:
    """As many passes as still help, with a longer average of the weights."""
    return TrainingConfig(
        epochs=epochs,
        min_steps=1500,
        hard_share=hard_share,
        ema_decay=0.99,
        optimizer=optimizer,
        augment=augment,
    )


def augmentation(data: Traits, *, shift: int = 2, erase: int = 0) -> AugmentConfig:
    """Moved by `shift` pixels, mirrored, a square of `erase` pixels erased: as far as the data bear it."""
    return AugmentConfig(shift=0 if data.centred else shift, flip=data.mirrors, erase=erase)


def strong_augmentation(data: Traits, *, shift: int = 2, erase: int = 0) -> AugmentConfig:
    """Turned and brought nearer, too, as `quality` does."""
    augment = augmentation(data, shift=shift, erase=erase)
    return change(augment, rotate=0.0 if data.centred else 10.0, scale=0.1)
