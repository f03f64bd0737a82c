"""How long the presets train on texts, with what is the same for all architectures."""

from __future__ import annotations

from modelyard.data.symbol_augmentation import SymbolAugment
from modelyard.recipes.lengths import adamw
from modelyard.sources.known import Traits
from modelyard.training.config import TrainingConfig

BATCH, SMOOTHING = 64, 0.1
MANY_CLASSES = 20
"""From here on a class has few samples, and more steps are needed."""


def smoke(rate: float) -> TrainingConfig:
    """One pass over few texts."""
    return TrainingConfig(
        epochs=1,
        min_steps=60,
        max_train_images=12_000,
        batch_size=BATCH,
        label_smoothing=SMOOTHING,
        optimizer=adamw(rate),
        augment=SymbolAugment(),
    )


def sprint(rate: float, data: Traits) -> TrainingConfig:
    """Nearly as good as `standard`."""
    return _averaged(rate, epochs=2, min_steps=_steps(300, data))


def standard(rate: float, data: Traits) -> TrainingConfig:
    """Passes over all texts with an average of the weights, until four of them were in vain."""
    return _averaged(rate, epochs=4, min_steps=_steps(1000, data), patience=4)


def tiny(rate: float, data: Traits) -> TrainingConfig:
    """Small networks learn longer."""
    return _averaged(rate, epochs=8, min_steps=_steps(1500, data))


def quality(rate: float, data: Traits, members: int) -> TrainingConfig:
    """For each of so many members what `standard` gives to one, and never stopped early."""
    return _averaged(rate, epochs=4 * members, min_steps=_steps(1000, data), batch_size=BATCH * members)


def _steps(least: int, data: Traits) -> int:
    return least * 2 if (data.num_classes or 0) > MANY_CLASSES else least


def _averaged(
    rate: float, *, epochs: int, min_steps: int, patience: int = 0, batch_size: int = BATCH
) -> TrainingConfig:
    return TrainingConfig(
        epochs=epochs,
        min_steps=min_steps,
        batch_size=batch_size,
        label_smoothing=SMOOTHING,
        ema_decay=0.98,
        patience=patience,
        optimizer=adamw(rate),
        augment=SymbolAugment(),
    )
