"""What the flows are asked, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelyard.config import Config
from modelyard.data.names import check_name
from modelyard.models import CustomConfig
from modelyard.recipes import Recipe, named_recipes
from modelyard.sources.peek import peek
from modelyard.sources.unread import check_address
from modelyard.training.precision import resolve_device


class CompareRequest(Config):
    """What `compare` is asked: several recipes on one data set with one seed."""

    dataset: str
    recipes: dict[str, Recipe]
    """Architecture as the user named it -> its recipe; the data part is the same in all."""
    seed: int = 0
    device: str = "auto"
    in_process: bool = False
    skip_unreadable: bool = False
    name: str = ""
    """The model's; empty: that of the data."""

    def own_modules(self) -> dict[str, str]:
        """File -> digest of the user's own modules that are imported."""
        models = [recipe.model for recipe in self.recipes.values()]
        return {
            file: digest
            for model in models
            if isinstance(model, CustomConfig)
            for file, digest in model.own_files().items()
        }


def compare_request(  # noqa: PLR0913 - the words of `modelyard run`
    dataset: str,
    *,
    architectures: Sequence[str],
    preset: str,
    assignments: Sequence[str],
    seed: int,
    device: str,
    skip_unreadable: bool,
    name: str = "",
) -> CompareRequest:
    """What these words of a command, a program or a schedule mean today. Raises: ConfigError, DeviceError,
    DataError.
    """
    resolve_device(device)
    if name:
        check_name(name)
    recipes = named_recipes(architectures, preset, assignments, dataset=dataset)
    try_models(dataset, recipes, skip_unreadable=skip_unreadable)
    return CompareRequest(
        dataset=dataset, recipes=recipes, seed=seed, device=device, skip_unreadable=skip_unreadable, name=name
    )


def try_models(dataset: str, recipes: Mapping[str, Recipe], *, skip_unreadable: bool = False) -> None:
    """Try those that are not ours on blank images, where it takes no decoding to know their shape.

    Raises: ConfigError when one does not fit; DataError.
    """
    check_address(dataset)
    for recipe in recipes.values():
        if isinstance(recipe.model, CustomConfig):
            known = peek(dataset, recipe.data.folder_options(skip_unreadable=skip_unreadable))
            if known is not None:
                recipe.model.check(*known)


class BuildRequest(Config):
    """One architecture on one prepared data set with one seed."""

    recipe: Recipe
    data_step: str
    """Folder name of the prepared data below `steps/`."""
    data_digest: str
    dataset: str
    dataset_requested: str = ""
    """What the user asked for, such as `auto` or a path."""
    label: str
    """Architecture as the user named it."""
    seed: int
    device: str = "auto"
    in_process: bool = False
    cores: int | None = None
    """Of the CPU, for a training beside others; None: all. Another number may change the last bits of the
    weights.
    """
