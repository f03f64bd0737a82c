"""Which modules of the user's own (`file.py:Name`) a scheduled run may import: those that were trained or scheduled here."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from modelyard.errors import ConfigError
from modelyard.files import make_folder, read_private, sha256_of_file, write_private
from modelyard.home import Home

if TYPE_CHECKING:
    from modelyard.requests import CompareRequest

ONLY_RECORDED = "MODELYARD_ONLY_RECORDED"
"""In a run's environment: its modules must have been recorded. The worker of `modelyard up` sets it."""


def record(home: Home, request: CompareRequest) -> None:
    """The modules of a request that somebody made at this machine. Raises: StoreError."""
    if modules := dict(_modules(request)):
        _add(home, modules)


def record_file(home: Home, file: Path) -> Path:
    """Where it is. Raises: ConfigError when there is no such file, StoreError."""
    path = file.expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"no such file {path}; expected the Python file of an own module")
    _add(home, {str(path): sha256_of_file(path)})
    return path


def refuse_unrecorded(home: Home, request: CompareRequest) -> None:
    """Raises: ConfigError naming the command that records a module that is new, or was edited."""
    known = _read(home)
    for file, digest in _modules(request):
        if known.get(file) != digest:
            raise ConfigError(
                f"own module {file}: not recorded on this machine, or edited since; "
                f"look at it, then record it with: modelyard schedule trust {shlex.quote(file)}"
            )


def _modules(request: CompareRequest) -> Iterator[tuple[str, str]]:
    """File and digest, as they will be imported."""
    from modelyard.models import CustomConfig

    for recipe in request.recipes.values():
        if isinstance(recipe.model, CustomConfig):
            yield recipe.model.file, recipe.model.source_digest


def _add(home: Home, modules: dict[str, str]) -> None:
    with FileLock(make_folder(home.locks) / "own-modules.lock"):
        write_private(_file(home), json.dumps(_read(home) | modules, indent=2))


def _read(home: Home) -> dict[str, str]:
    try:
        known = json.loads(read_private(_file(home)) or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def _file(home: Home) -> Path:
    return home.state / "own-modules.json"
