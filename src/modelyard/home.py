"""Where everything is kept. One place decides; every path is absolute."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from modelyard.errors import StoreError
from modelyard.files import is_plain_name


@dataclass(frozen=True, slots=True)
class Home:
    """The run store: `mlruns/` of the current project, or the folder `MODELYARD_HOME` names."""

    root: Path

    @classmethod
    def current(cls) -> Home:
        """The store of this process's environment and working directory."""
        named = os.environ.get("MODELYARD_HOME")
        return cls(Path(named).expanduser().resolve() if named else Path.cwd().resolve() / "mlruns")

    @property
    def database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def steps(self) -> Path:
        return self.root / "steps"

    def data_step(self, digest: str) -> Path:
        """The prepared data of a content digest."""
        return self.steps / f"data-{digest[:16]}"

    @property
    def profiles(self) -> Path:
        """What is known of the data that models were trained on; kept when the data's steps go."""
        return self.root / "profiles"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    def releases_of(self, model: str) -> Path:
        """A model's release folder. Raises: StoreError for a name that would lead elsewhere."""
        if not is_plain_name(model):
            raise StoreError(
                f"{model[:80]!r} cannot be a model's name: expected one part of a path, such as mnist"
            )
        return self.releases / model

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def state(self) -> Path:
        """What of `modelyard up` runs where, and what waits to be sent."""
        return self.root / "state"

    @property
    def sweeps(self) -> Path:
        return self.root / "sweeps"


def cache_folder() -> Path:
    """The user's cache of packed data sets (`MODELYARD_CACHE`, else the XDG cache)."""
    named = os.environ.get("MODELYARD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    if named:
        return Path(named).expanduser().resolve()
    return (Path(base) if base else Path.home() / ".cache") / "modelyard"


def features_folder() -> Path:
    """What networks that are not trained make of samples: computed anew where it is gone."""
    return cache_folder() / "features"
