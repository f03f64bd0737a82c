"""Which modules of the user's own (`file.py:Name`) a scheduled run may import: those that were trained or scheduled here."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from modelyard.errors import ConfigError
from modelyard.files import make_folder, read_private, write_atomically
from modelyard.home import Home

if TYPE_CHECKING:
    from modelyard.requests import CompareRequest

ONLY_RECORDED = "MODELYARD_ONLY_RECORDED"
"""In a run's environment: its modules must have been recorded. The worker of `modelyard up` sets it."""


def modules_of(request: CompareRequest) -> dict[str, str]:
    """File -> digest of what will be imported."""
    from modelyard.models import CustomConfig

    models = [recipe.model for recipe in request.recipes.values()]
    return {model.file: model.source_digest for model in models if isinstance(model, CustomConfig)}


def record(home: Home, modules: dict[str, str]) -> None:
    """Somebody at this machine wants them. Raises: StoreError."""
    if modules:
        with FileLock(make_folder(home.locks) / "own-modules.lock"):
            write_atomically(_file(home), json.dumps(_known(home) | modules, indent=2).encode(), 0o600)


def refuse_unrecorded(home: Home, modules: dict[str, str]) -> None:
    """Raises: ConfigError naming the command that records a module that is new, or was edited."""
    if unknown := dict(modules.items() - _known(home).items()):
        file = next(iter(unknown))
        raise ConfigError(
            f"own module {file}: not recorded on this machine, or edited since; "
            f"look at it, then record it with: modelyard schedule trust {shlex.quote(file)}"
        )


def _known(home: Home) -> dict[str, str]:
    try:
        return dict(json.loads(read_private(_file(home))))
    except (ValueError, TypeError):
        return {}


def _file(home: Home) -> Path:
    return home.state / "own-modules.json"
