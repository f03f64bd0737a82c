"""Which modules of the user's own (`file.py:Name`) a scheduled run may import: those that were trained or
scheduled here.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from filelock import FileLock

from modelyard.errors import ConfigError
from modelyard.files import make_folder, read_private, write_atomically
from modelyard.home import Home

ONLY_RECORDED = "MODELYARD_ONLY_RECORDED"
"""In a run's environment: its modules must have been recorded. The worker of `modelyard up` sets it."""


def record(home: Home, modules: dict[str, str]) -> None:
    """Somebody at this machine wants them. Raises: StoreError."""
    if modules:
        with FileLock(make_folder(home.locks) / "own-modules.lock"):
            write_atomically(_file(home), json.dumps(_known(home) | modules, indent=2).encode(), private=True)


def demand_recorded(file: str, digest: str) -> None:
    """Before a module is imported. Raises: ConfigError naming the command that records one that is new, or
    was edited.
    """
    if ONLY_RECORDED in os.environ and _known(Home.current()).get(file) != digest:
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
