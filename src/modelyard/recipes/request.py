"""The request of the flow `compare`, made from words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from modelyard.config import Config
from modelyard.errors import ConfigError
from modelyard.machine.how import DEFAULT_DEVICE
from modelyard.models import CustomConfig
from modelyard.recipes.named import baselines, named
from modelyard.recipes.recipe import Recipe
from modelyard.recipes.words import Words
from modelyard.sources.names import check_name
from modelyard.sources.peek import peek
from modelyard.sources.unread import check_address
from modelyard.training.precision import resolve_device

LARGEST_SEED = 2**43 - 1
"""That of an epoch is a million times as large, and torch takes 63 bits."""


class CompareRequest(Config):
    """What `compare` is asked: several recipes on one data set with one seed."""

    dataset: str
    recipes: dict[str, Recipe]
    """Architecture as the user named it -> its recipe; the data part is the same in all."""
    seed: int = 0
    device: str = DEFAULT_DEVICE
    in_process: bool = False
    skip_unreadable: bool = False
    name: str = ""
    """The model's; empty: that of the data."""

    @classmethod
    def of(cls, words: Words, recipes: Mapping[str, Recipe], *, in_process: bool = False) -> Self:
        """These recipes, with what the words say besides."""
        return cls(
            recipes=dict(recipes),
            in_process=in_process,
            **words.model_dump(include={"dataset", "seed", "device", "skip_unreadable", "name"}),
        )

    def own_modules(self) -> dict[str, str]:
        """File -> digest of the user's own modules that are imported."""
        models = [recipe.model for recipe in self.recipes.values()]
        return {
            file: digest
            for model in models
            if isinstance(model, CustomConfig)
            for file, digest in model.own_files().items()
        }


def compare_request(words: Words) -> CompareRequest:
    """What these words mean today. Raises: ConfigError, DeviceError, DataError."""
    resolve_device(words.device)
    if words.seed > LARGEST_SEED:
        raise ConfigError(
            f"--seed expects at most {LARGEST_SEED}, received {words.seed}; choose a smaller one"
        )
    if words.name:
        check_name(words.name)
    recipes = baselines(words) | named(words)
    try_models(words, recipes)
    return CompareRequest.of(words, recipes)


def try_models(words: Words, recipes: Mapping[str, Recipe]) -> None:
    """Try those that are not ours on blank data, where it takes no decoding to know their shape.

    Raises: ConfigError when one does not fit; DataError.
    """
    check_address(words.dataset)
    for recipe in recipes.values():
        if isinstance(recipe.model, CustomConfig):
            options = recipe.data.folder_options(skip_unreadable=words.skip_unreadable)
            known = peek(words.dataset, options)
            if known is not None:
                recipe.check_input(known[0].encodings)
                recipe.model.check(*known)
