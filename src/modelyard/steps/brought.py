"""What a recipe brings besides its data, as folders named by their content: weights, unlabelled samples, a
teacher.
"""

from __future__ import annotations

from pathlib import Path

from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.recipes.recipe import Recipe
from modelyard.steps.brought_samples import bring_samples
from modelyard.steps.brought_teacher import bring_teacher
from modelyard.steps.brought_weights import bring_weights


def bring(recipe: Recipe, data: Path, home: Home) -> dict[str, str]:
    """Name of the step -> digest of its folder, which lies below `steps/` afterwards.

    `data`: the prepared data. Raises: ConfigError, DataError.
    """
    brought: dict[str, str] = {}
    if recipe.init is None and recipe.model.is_brought:
        raise ConfigError(
            f"{recipe.model.architecture}: expected a folder of weights to start from (--init PATH), "
            "received none"
        )
    if recipe.init is not None:
        brought["weights"] = bring_weights(recipe, data, home)
    if recipe.data.unlabelled is not None and recipe.model.is_network:
        brought["unlabelled"] = bring_samples(recipe, data, home)
    if recipe.distil is not None:
        brought["teacher"] = bring_teacher(recipe, data, home)
    return brought
