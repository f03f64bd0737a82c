"""What a recipe brings besides its data, as folders named by their content: weights, unlabelled samples, a
teacher.
"""

from __future__ import annotations

from pathlib import Path

from modelyard.files import sha256_of_json
from modelyard.home import Home
from modelyard.recipes.recipe import Recipe
from modelyard.steps.brought_samples import bring_samples
from modelyard.steps.brought_teacher import bring_teacher
from modelyard.steps.brought_weights import bring_weights


class Brought:
    """What recipes bring; what several of them do is read once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._known: dict[str, dict[str, str]] = {}

    def of(self, recipe: Recipe, data: Path) -> dict[str, str]:
        """Name of the step -> digest of its folder, which lies below `steps/` afterwards.

        `data`: the prepared data. Raises: ConfigError, DataError.
        """
        parts = recipe.init, recipe.data.unlabelled, recipe.distil, recipe.model
        told = [part if isinstance(part, str | None) else part.model_dump(mode="json") for part in parts]
        key = sha256_of_json([*told, str(data)])
        if key not in self._known:
            self._known[key] = _bring(recipe, data, self._home)
        return self._known[key]


def _bring(recipe: Recipe, data: Path, home: Home) -> dict[str, str]:
    brought: dict[str, str] = {}
    if recipe.init is not None:
        brought["weights"] = bring_weights(recipe, data, home)
    if recipe.data.unlabelled is not None and recipe.model.is_network:
        brought["unlabelled"] = bring_samples(recipe, data, home)
    if recipe.distil is not None:
        brought["teacher"] = bring_teacher(recipe, data, home)
    return brought
