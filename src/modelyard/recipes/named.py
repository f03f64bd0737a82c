"""Recipes from words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from modelyard.config import change
from modelyard.errors import ConfigError
from modelyard.files import full_path
from modelyard.home import Home
from modelyard.recipes import cnn, custom, rnn, texts, transformer
from modelyard.recipes.assigned import assigned
from modelyard.recipes.recipe import Presets, Recipe
from modelyard.recipes.textbook import LENET, LSTM, VIT
from modelyard.recipes.weights import find_weights, init_of, named_by, said_by
from modelyard.recipes.words import Words
from modelyard.samples import ImageForm, TextForm
from modelyard.sources.imports import is_named
from modelyard.sources.known import UNKNOWN, Traits
from modelyard.sources.peek import describe

TABLE: Mapping[str, Presets] = {
    "cnn": cnn.PRESETS,
    "rnn": rnn.PRESETS,
    "transformer": transformer.PRESETS,
    "lenet": LENET.presets,
    "lstm": LSTM.presets,
    "vit": VIT.presets,
}
ARCHITECTURES = ("cnn", "rnn", "transformer")
"""The tuned ones, which are compared when none is named."""
BY_KIND: Mapping[str, tuple[Mapping[str, Presets], Sequence[str], Callable[[str], Presets]]] = {
    ImageForm.kind: (TABLE, ARCHITECTURES, custom.presets),
    TextForm.kind: (texts.TABLE, texts.COMPARED, texts.own_presets),
}
"""What may be trained on samples of a kind: by name; what is compared when none is named; a user's own."""
BASELINES: Mapping[str, Sequence[str]] = {TextForm.kind: texts.BASELINES}
"""What is compared with the others whether it is named or not, by kind of the data."""
ALONE = "-alone"
"""Ends the label of a student that is trained without its teacher, for as many steps."""
SHARED = ("data", "validation", "gates")
"""Parts of a recipe that say nothing of a model."""
OTHERS: Mapping[str, str] = {
    ImageForm.kind: "file.py:ClassName, torchvision:NAME or timm:NAME",
    TextForm.kind: "file.py:ClassName",
}
"""What else may be named, by kind of the data: libraries have networks of images alone."""


def make_recipe(architecture: str, preset: str, data: Traits = UNKNOWN) -> Recipe:
    """Of a name in `BY_KIND` or of one of `OTHERS`. Raises: ConfigError naming the legal choices."""
    table, _, own_presets = BY_KIND[data.kind]
    if ":" not in architecture and architecture not in table:
        raise ConfigError(
            f"unknown architecture {architecture!r}: expected one of {', '.join(table)}, {OTHERS[data.kind]}"
        )
    presets = table.get(architecture) or own_presets(architecture)
    if preset not in presets:
        raise ConfigError(f"unknown preset {preset!r}: expected one of {', '.join(presets)}")
    return presets[preset](data)


def named(words: Words, extra: Sequence[str] = ()) -> dict[str, Recipe]:
    """Label -> recipe, with the assignments of the words and `extra` ones. Raises: ConfigError, DataError.

    Of two files that are called alike the second is labelled with its folder.
    """
    recipes: dict[str, Recipe] = {}
    data, init = describe(words.dataset, words.columns()), init_of(words.assignments)
    weights = find_weights(init, Home.current()) if init else None
    for name in words.architectures or _told(weights, words.preset, data) or BY_KIND[data.kind][1]:
        recipe = make_recipe(name, words.preset, data)
        said = [] if weights is None else said_by(weights, recipe.model)
        if is_named(words.dataset):  # its form is its own
            said = [word for word in said if not word.startswith("data.")]
        recipe = assigned(recipe, [*said, *words.assignments, *extra])
        if init and full_path(init).exists():  # a flow may run elsewhere
            recipe = change(recipe, init=str(full_path(init)))
        label = custom.label(name, recipe)
        if label in recipes and recipe != recipes[label]:
            label = f"{Path(name).parent.name}.{label}"
        recipes[label] = recipe
        if recipe.distil is not None:
            recipes[label + ALONE] = change(recipe, distil=None)
    return recipes


def _told(weights: Path | None, preset: str, data: Traits) -> tuple[str, ...]:
    """Of which architecture the weights are, as far as they tell. Raises: ConfigError."""
    table = BY_KIND[data.kind][0]
    models = {name: presets[preset](data).model for name, presets in table.items() if preset in presets}
    named = named_by(weights, models) if weights else ()
    if others := [name for name in named if ":" not in name and name not in table]:
        raise ConfigError(
            f"init: {weights}: expected weights of a network for {data.kind}s, received those of {others[0]}"
        )
    return named


def baselines(words: Words) -> dict[str, Recipe]:
    """Those that the words do not name. What they assign to a network or its training is not for them.

    Raises: ConfigError, DataError.
    """
    data = describe(words.dataset, words.columns())
    shared = [one for one in words.assignments if one.partition(".")[0].strip() in SHARED]
    return {
        name: make_recipe(name, words.preset, data).override(shared)
        for name in BASELINES.get(data.kind, ())
        if name not in words.architectures
    }
