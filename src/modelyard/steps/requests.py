"""What one architecture's steps are asked, as JSON, and their names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import modelyard
from modelyard.config import Config
from modelyard.files import sha256_of_file, sha256_of_json
from modelyard.home import Home
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
