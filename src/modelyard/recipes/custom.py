"""Networks that are not ours: a module of the user's own, torchvision's and timm's."""

from __future__ import annotations

from pathlib import Path

from modelyard.models import CustomConfig
from modelyard.recipes.fixed import Fixed
from modelyard.recipes.recipe import Presets, Recipe


def presets(architecture: str) -> Presets:
    """Of `path/file.py:Name`, `torchvision:NAME` or `timm:NAME`. Raises: ConfigError."""
    return Fixed(CustomConfig.parse(architecture), rate=2e-3, epochs=8).presets


def label(architecture: str, recipe: Recipe) -> str:
    """How it is called on the board: a user's own `path/file.py:Name` is `file.Name`."""
    model = recipe.model
    if isinstance(model, CustomConfig) and model.file:
        return f"{Path(model.file).stem}.{model.name}"
    return architecture
