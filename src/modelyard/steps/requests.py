"""What the flows are asked, as JSON, and the names of the steps that answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import modelyard
from modelyard.config import Config
from modelyard.data.names import check_name
from modelyard.files import sha256_of_file, sha256_of_json
from modelyard.home import Home
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

    @property
    def training_key(self) -> str:
        """Digest of what the weights depend on."""
        made = self.recipe.made()
        made["model"].pop("file", None)  # a module that was moved is the same
        slices = {"recipe": made, "data": self.data_digest, "seed": self.seed}
        return sha256_of_json(
            slices | {"code": code_digest("data", "sources", "samples", "models", "training")}
        )[:16]

    @property
    def export_key(self) -> str:
        """Digest of what the bundle depends on."""
        code = code_digest("export", "evaluation", "bundle.py", "inference/doubts.py")
        return sha256_of_json([self.training_key, self.dataset, code])[:16]

    def training_folder(self, home: Home) -> Path:
        return home.steps / f"train-{self.training_key}"

    def evaluation_folder(self, home: Home) -> Path:
        return home.steps / f"evaluate-{self.export_key}"

    def bundle_folder(self, home: Home) -> Path:
        return home.steps / f"export-{self.export_key}"

    @property
    def step_names(self) -> list[str]:
        """Every folder below `steps/` that the build reads or makes."""
        return [
            self.data_step,
            f"train-{self.training_key}",
            f"evaluate-{self.export_key}",
            f"export-{self.export_key}",
        ]


@cache
def code_digest(*rooms: str) -> str:
    """Digest of the source files of some rooms of this package."""
    root = Path(modelyard.__file__).parent
    paths = [
        path
        for room in rooms
        for path in ([root / room] if room.endswith(".py") else sorted((root / room).rglob("*.py")))
    ]
    return sha256_of_json([[path.name, sha256_of_file(path)] for path in paths])
