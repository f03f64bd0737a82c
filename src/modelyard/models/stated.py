"""What weights were trained to see, as the configuration beside them or their library states it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.errors import ConfigError
from modelyard.models.brought import read_settings
from modelyard.models.normalised import COLOURS
from modelyard.terminal.printable import printable

PREPROCESSOR, CONFIG = "preprocessor_config.json", "config.json"
RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""By Pillow's numbers, as Hugging Face keeps them."""
MOST_SIDE = 4096


@dataclass(frozen=True, slots=True)
class Stated:
    """Of the pixels that a network is given."""

    mean: tuple[float, ...] | None = None
    """Of each channel, from 0 to 1; None: they are not normalised."""
    std: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None
    """Height and width."""
    channels: int = COLOURS
    interpolation: str = ""

    def words(self) -> list[str]:
        """As `--set` takes it."""
        normal = {"model.mean": self.mean or "none", "model.std": self.std}
        return [*(f"{key}={json.dumps(value)}" for key, value in normal.items()), *self.size_words()]

    def size_words(self) -> list[str]:
        """What folders are to be read as."""
        if self.size is None:
            return []
        given = {"height": self.size[0], "width": self.size[1], "channels": self.channels}
        return [f"data.{key}={value}" for key, value in given.items()]


def by_folder(folder: Path) -> Stated | None:
    """By Hugging Face's configuration of the pre-processing, or timm's in config.json.

    Raises: ConfigError for one that makes no sense.
    """
    told = read_settings(folder, PREPROCESSOR)
    try:
        if told:
            return _by_preprocessor(told)
        published = read_settings(folder, CONFIG).get("pretrained_cfg")
        return _by_timm(published) if isinstance(published, dict) else None
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        name = PREPROCESSOR if told else CONFIG
        raise ConfigError(
            f"{folder / name}: expected mean and deviation of the pixels, and their size "
            f"({printable(error)[:100]}); give them by --set model.mean=[...] in a copy without that file"
        ) from error


def _by_preprocessor(told: dict[str, Any]) -> Stated:
    """Their scale is that of the pixels times `rescale_factor`, ours 0 to 1."""
    cut = told.get("crop_size") if told.get("do_center_crop") else None
    size = _size(cut or told.get("size"))
    resample = RESAMPLING.get(told.get("resample", 2), "")
    if not told.get("do_normalize", True):
        return Stated(size=size, interpolation=resample)
    unit = 255 * float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else 255
    mean, std = (_numbers([value / unit for value in told[key]]) for key in ("image_mean", "image_std"))
    return Stated(mean, std, size, interpolation=resample)


def _by_timm(told: dict[str, Any]) -> Stated:
    _, height, width = told["input_size"]
    return Stated(
        _numbers(told["mean"]),
        _numbers(told["std"]),
        _size([height, width]),
        interpolation=str(told["interpolation"]),
    )


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    if not 0 < len(values) <= COLOURS:
        raise ValueError(f"{len(values)} channels")
    return tuple(round(float(value), 9) for value in values)


def _size(told: Any) -> tuple[int, int] | None:
    """Of 224, [224, 224], {height: 224, width: 224} or {shortest_edge: 224}."""
    if isinstance(told, dict):
        told = [told["height"], told["width"]] if "height" in told else told["shortest_edge"]
    sides = told if isinstance(told, list | tuple) else [told, told]
    if told is None:
        return None
    height, width = sides
    if type(height) is not int or type(width) is not int or not 0 < min(sides) <= max(sides) <= MOST_SIDE:
        raise ValueError(f"size {str(told)[:60]}")
    return height, width


def by_library(library: str, name: str, file: Path) -> Stated | None:
    """By torchvision's or timm's own description of its published weights, which lies in the package."""
    return {"torchvision": _by_torchvision, "timm": _by_timm_name}[library](name, file)


def _by_torchvision(name: str, file: Path) -> Stated | None:
    """Of the published weights whose file is called so, else of the newest."""
    from torchvision import models

    known = list(models.get_model_weights(name))
    if not known:
        return None
    weights = next((one for one in known if one.url.rpartition("/")[2] == file.name), known[-1])
    told = weights.transforms()
    (side,) = told.crop_size
    return Stated(
        _numbers(told.mean), _numbers(told.std), (side, side), interpolation=str(told.interpolation.value)
    )


def _by_timm_name(name: str, _file: Path) -> Stated | None:
    import timm

    told: Any = timm.get_pretrained_cfg(name)
    return _by_timm(told.to_dict()) if told else None
