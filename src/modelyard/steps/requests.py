"""What one architecture's steps are asked, as JSON."""

from __future__ import annotations

from pydantic import Field

from modelyard.config import Config
from modelyard.machine.how import DEFAULT_DEVICE
from modelyard.recipes.recipe import Recipe


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
    device: str = DEFAULT_DEVICE
    in_process: bool = False
    brought: dict[str, str] = Field(default_factory=dict)
    """Digests of what else it is made from, by name of the step (`steps/brought.py`)."""
    cores: int | None = None
    """As in `How`."""
