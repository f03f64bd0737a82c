"""Complete recipes by name: an architecture and a preset give every value of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from modelyard.config import Config
from modelyard.data.augmentation import AugmentConfig
from modelyard.data.splits import DataConfig
from modelyard.errors import ConfigError
from modelyard.inspection.validation import ValidationConfig
from modelyard.models import AnyModelConfig, CnnConfig, CustomConfig, RnnConfig, TransformerConfig
from modelyard.promotion.limits import GatesConfig
from modelyard.training.config import TrainingConfig
from modelyard.training.optim import OptimizerConfig

PRESETS = ("smoke", "sprint", "tiny", "standard", "quality")
ARCHITECTURES = ("cnn", "rnn", "transformer")
OTHERS = "file.py:ClassName, torchvision:NAME or timm:NAME"

EASY = ("auto", "mnist", "digits")
"""Handwritten digits: a light network and few passes are enough; most images teach nothing after
the first.
"""
DIGITS = {
    "cnn": ("training.epochs=18", "model.dropout=0.4"),
    "rnn": ("training.hard_share=0.5",),
    "transformer": ("training.hard_share=0.5",),
}
FASHION = {
    "cnn": (
        "model.variant=resnet",
        "model.width=16",
        "model.stages=5",
        "model.mirrored=true",
        "training.epochs=24",
        "training.augment.erase=8",
        "training.augment.shift=1",
        "training.augment.scale=0",
        "training.clip_norm=5",
        "training.optimizer.name=sgd",
        "training.optimizer.learning_rate=0.15",
        "training.optimizer.weight_decay=0.0005",
    ),
    "rnn": (
        "model.mirrored=true",
        "model.layers=2",
        "model.hidden=128",
        "training.augment.erase=6",
        "training.epochs=36",
    ),
    "transformer": (
        "model.mirrored=true",
        "training.augment.erase=6",
        "training.epochs=20",
        "training.optimizer.weight_decay=0.1",
    ),
}
QUALITY_OF: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(EASY, DIGITS),
    "fashion-mnist": FASHION,
}
"""What `quality` changes for named data, by architecture; chosen on validation."""
AUGMENT_OF = {
    "fashion-mnist": ("training.augment.flip=true", "training.augment.shift=0", "training.augment.rotate=0"),
    "cifar10": ("training.augment.flip=true",),
}
"""Named data sets whose images mean the same in a mirror (digits and letters do not), or stand always in one
place.
"""


class Recipe(Config):
    """All that a run is made of, but for the data and the seed."""

    data: DataConfig = DataConfig()
    model: Annotated[AnyModelConfig, Field(discriminator="architecture")]
    training: TrainingConfig = TrainingConfig()
    validation: ValidationConfig = ValidationConfig()
    """Judged before a training; no step depends on it."""
    gates: GatesConfig = GatesConfig()
    """Judged at promotion; no step depends on them."""

    def made(self) -> dict[str, Any]:
        """What the weights and the bundle are made of, as JSON: all but what is only judged, and what only
        bounds reading.
        """
        return self.model_dump(
            mode="json", include={"data", "model", "training"}, exclude={"data": {"max_pixels", "max_bytes"}}
        )

    def made_flat(self) -> dict[str, Any]:
        """The same by dotted keys, as a run's parameters."""
        parts = self.made()
        return {key: value for key, value in self.flatten().items() if key.partition(".")[0] in parts}


def make_recipe(architecture: str, preset: str, dataset: str = "") -> Recipe:
    """The recipe of `cnn`, `rnn`, `transformer`, a textbook name or one of `OTHERS`; `dataset` as the user
    named it.

    Raises: ConfigError naming the legal choices.
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}: expected one of {', '.join(PRESETS)}")
    if ":" in architecture:
        return Recipe(
            model=CustomConfig.parse(architecture), training=_training(preset, 8, 2e-3, AugmentConfig())
        )
    makers = {"cnn": cnn, "rnn": rnn, "transformer": transformer, "lenet": lenet, "lstm": lstm, "vit": vit}
    if architecture not in makers:
        raise ConfigError(
            f"unknown architecture {architecture!r}: expected one of {', '.join(makers)}, {OTHERS}"
        )
    if architecture == "cnn" and preset in ("smoke", "standard") and dataset in EASY:
        return light_cnn(preset)
    return makers[architecture](preset)


def named_recipes(
    architectures: Sequence[str], preset: str, assignments: Sequence[str] = (), *, dataset: str = ""
) -> dict[str, Recipe]:
    """Label -> recipe with `--set` assignments applied; all three tuned ones when none is named.

    A user's own `path/file.py:Name` is labelled `file.Name`.
    """
    recipes: dict[str, Recipe] = {}
    quality = QUALITY_OF.get(dataset, {}) if preset == "quality" else {}
    for name in architectures or ARCHITECTURES:
        changes = [*AUGMENT_OF.get(dataset, ()), *quality.get(name, ()), *assignments]
        recipe = make_recipe(name, preset, dataset).override(changes)
        model = recipe.model
        label = (
            f"{Path(model.file).stem}.{model.name}"
            if isinstance(model, CustomConfig) and model.file
            else name
        )
        if label in recipes and recipe != recipes[label]:
            label = f"{Path(name).parent.name}.{label}"
        recipes[label] = recipe
    return recipes


def cnn(preset: str) -> Recipe:
    """Our convolution network."""
    models = {
        "sprint": CnnConfig(width=16, stages=2, downsample="stride", residuals=2, dropout=0.0),
        "tiny": CnnConfig(width=8, stages=2, dropout=0.0),
        "quality": CnnConfig(residuals=2),
    }
    rate = 6e-3 if preset in ("smoke", "standard") else 8e-3
    changes = {"sprint": "epochs=3"}
    training = _training(preset, 8, rate, AugmentConfig(), changes)
    return Recipe(model=models.get(preset, CnnConfig()), training=training)


def light_cnn(preset: str) -> Recipe:
    """For `EASY` data: a third of the parameters of the other, a tenth of its time."""
    model = CnnConfig(width=24, stages=2, downsample="stride", residuals=2, dropout=0.0)
    training = _training(preset, 5, 8e-3, AugmentConfig(), {"standard": "hard_share=0.4"})
    return Recipe(model=model, training=training)


def rnn(preset: str) -> Recipe:
    """Our LSTM over pairs of rows."""
    models = {
        "sprint": RnnConfig(rows_per_step=4),
        "tiny": RnnConfig(hidden=32),
        "quality": RnnConfig(hidden=192),
    }
    changes = {"sprint": "epochs=6 batch_size=128", "quality": "epochs=24"}
    training = _training(preset, 12, 8e-3, AugmentConfig(shift=1), changes)
    return Recipe(model=models.get(preset, RnnConfig()), training=training)


def transformer(preset: str) -> Recipe:
    """Our Transformer over patches."""
    models = {
        "sprint": TransformerConfig(layers=2),
        "tiny": TransformerConfig(width=32, layers=2),
        "quality": TransformerConfig(stem="pool"),
    }
    rate = 3e-3 if preset in ("sprint", "tiny") else 2e-3
    changes = {"sprint": "epochs=7 batch_size=128"}
    training = _training(preset, 8, rate, AugmentConfig(shift=1), changes)
    return Recipe(model=models.get(preset, TransformerConfig()), training=training)


def lenet(preset: str) -> Recipe:
    """The textbook's LeNet-5, trained as ours."""
    return Recipe(model=CnnConfig(variant="lenet"), training=_training(preset, 6, 3e-3, AugmentConfig()))


def lstm(preset: str) -> Recipe:
    """The textbook's LSTM: two layers of 256 units on single rows."""
    model = RnnConfig(variant="lstm", hidden=256, layers=2, rows_per_step=1)
    return Recipe(model=model, training=_training(preset, 6, 2e-3, AugmentConfig(shift=1)))


def vit(preset: str) -> Recipe:
    """The textbook's Vision Transformer: linear patches and a class token."""
    return Recipe(
        model=TransformerConfig(variant="vit", patch=7),
        training=_training(preset, 12, 2e-3, AugmentConfig(shift=1)),
    )


def _training(
    preset: str, epochs: int, rate: float, augment: AugmentConfig, changes: Mapping[str, str] | None = None
) -> TrainingConfig:
    """The training of a preset; `epochs` is that of `standard`, `changes` are what a preset has
    of its own.
    """
    optimizer = OptimizerConfig(learning_rate=rate)
    own = (changes or {}).get(preset, "").split()
    if preset == "smoke":
        return TrainingConfig(
            epochs=1, min_steps=60, max_train_images=12_000, optimizer=optimizer, augment=augment
        )
    if preset == "sprint":
        short = TrainingConfig(
            min_steps=300, hard_share=0.33, ema_decay=0.98, optimizer=optimizer, augment=augment
        )
        return short.override(own)
    standard = TrainingConfig(
        epochs=epochs, min_steps=500, ema_decay=0.98, optimizer=optimizer, augment=augment
    )
    if preset == "tiny":
        return standard.override([f"epochs={3 * epochs}", "min_steps=1500", "hard_share=0.5"])
    if preset == "quality":
        whole = [
            f"epochs={3 * epochs}",
            "min_steps=1500",
            "ema_decay=0.99",
            "augment.rotate=10",
            "augment.scale=0.1",
        ]
        return standard.override([*whole, *own])
    return standard.override(own)
