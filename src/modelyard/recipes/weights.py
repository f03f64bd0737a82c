"""What `--init` names, and what the weights there say of a recipe."""

from __future__ import annotations

import json
from pathlib import Path

from modelyard.bundle import MANIFEST_BYTES
from modelyard.config import Config
from modelyard.errors import ConfigError, StoreError
from modelyard.files import full_path, parse_json, read_regular
from modelyard.home import Home
from modelyard.models import AnyModelConfig, CustomConfig
from modelyard.models.brought import read_settings
from modelyard.models.published import published
from modelyard.models.stated import CONFIG, Stated, by_folder, by_library
from modelyard.promotion.manual import find_version
from modelyard.seals import STEP_FILE
from modelyard.training.fitted import BUILD_FILE, WEIGHTS_FILE, Build

EXPECTED = "expected NAME@ALIAS, a .safetensors, .pth or .pt file, or a folder of Hugging Face's"
TRAIN = "train-"
"""What names of folders of trainings begin with."""


class Given(Config):
    """The word among others."""

    init: str | None = None


def init_of(assignments: tuple[str, ...]) -> str | None:
    """What words of `--set` say of it."""
    return Given().override([word for word in assignments if word.partition("=")[0].strip() == "init"]).init


def find_weights(init: str, home: Home) -> Path:
    """The file or folder; of a version, or of its bundle, that of its training. Raises: ConfigError,
    StoreError.
    """
    path = full_path(init)
    if path.exists():
        return _training_of(path, init, home) if (path / STEP_FILE).is_file() else path
    if "@" in init and not {"/", "\\"} & set(init):
        bundle = home.steps / find_version(home, init).tags.get("bundle", "")
        return _training_of(bundle, init, home)
    raise ConfigError(f"init: {EXPECTED}, received {init[:200]!r}, which is not there")


def _training_of(folder: Path, init: str, home: Home) -> Path:
    """Of a step's folder."""
    if (folder / BUILD_FILE).is_file():
        return folder
    try:
        made_from = parse_json(read_regular(folder / STEP_FILE, MANIFEST_BYTES))["parents"]
        training: Path = next(home.steps / name for name in made_from if name.startswith(TRAIN))
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        training = folder
    if not (training / WEIGHTS_FILE).is_file() or not (training / BUILD_FILE).is_file():
        raise StoreError(
            f"init: the weights of {init} are not in {home.steps} any more (the release has its graph "
            "alone); train it again: modelyard run"
        )
    return training


def build_of(folder: Path) -> Build | None:
    """Of a training of ours; None for weights of others. Raises: ConfigError."""
    if not (folder / BUILD_FILE).is_file():
        return None
    try:
        return Build.model_validate_json(read_regular(folder / BUILD_FILE, MANIFEST_BYTES))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder / BUILD_FILE}: is not as a training leaves it; train it again") from error


def named_by(path: Path, architectures: dict[str, AnyModelConfig]) -> tuple[str, ...]:
    """The name of the architecture that the weights tell, if they do; `architectures`: those that it may be.

    Raises: ConfigError.
    """
    if build := build_of(path):
        if isinstance(build.model, CustomConfig):
            return (build.model.told,)
        wanted = build.model.architecture
        return tuple(name for name, model in architectures.items() if model.architecture == wanted)[:1]
    if found := published(path):
        return (found.name,)
    timm = read_settings(path, CONFIG).get("architecture") if path.is_dir() else None
    return (f"timm:{timm}",) if isinstance(timm, str) else ()


def said_by(path: Path, model: AnyModelConfig) -> list[str]:
    """What the weights say of a recipe with this model, as `--set` takes it; nothing where they are of
    another.

    Raises: ConfigError.
    """
    if build := build_of(path):
        return _said_by_build(build, model)
    stated, found = stated_of(path, model), published(path)
    if found and found.architecture == model.architecture:
        return [*found.words(read_settings(path, CONFIG)), *(stated.words() if stated else [])]
    return stated.words() if stated and isinstance(model, CustomConfig) else []


def stated_of(path: Path, model: AnyModelConfig) -> Stated | None:
    """What weights of others are said to be given. Raises: ConfigError."""
    stated = by_folder(path) if path.is_dir() else None
    if stated is None and isinstance(model, CustomConfig) and not model.file:
        return by_library(model.architecture, model.name, path)
    return stated


def _said_by_build(build: Build, asked: AnyModelConfig) -> list[str]:
    """All options of the network, and what it is given."""
    model = build.model
    if model.architecture != asked.architecture:
        return []
    fields = model.model_dump(mode="json", exclude={"architecture"})
    if isinstance(model, CustomConfig):
        fields = {f"kwargs.{name}": value for name, value in fields["kwargs"].items()}
        fields |= {"mean": model.mean, "std": model.std}
    words = [f"model.{name}={json.dumps(value)}" for name, value in fields.items()]
    return [*words, *Stated(size=build.form.size, channels=build.form.sides[0]).size_words()]
