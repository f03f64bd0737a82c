"""Which steps need not be done again: their folder is there and its digests hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from modelyard.bundle import is_whole
from modelyard.files import is_sealed
from modelyard.home import Home
from modelyard.progress import current_progress
from modelyard.steps.requests import BuildRequest


def training_is_done(request: BuildRequest, home: Home) -> bool:
    """Whether the weights are there, unaltered."""
    return _is_done(request.training_folder(home), is_sealed)


def evaluation_is_done(request: BuildRequest, home: Home) -> bool:
    """Whether the scores are there, unaltered."""
    return _is_done(request.evaluation_folder(home), is_sealed)


def export_is_done(request: BuildRequest, home: Home) -> bool:
    """Whether the bundle is there, unaltered."""
    return _is_done(request.bundle_folder(home), is_whole)


def _is_done(folder: Path, is_unaltered: Callable[[Path], bool]) -> bool:
    """A folder that was altered since it was made is removed, so that its step is done again."""
    if not folder.exists():
        return False
    if not is_unaltered(folder):
        current_progress.get().say(f"NOTE: {folder} was altered since it was made; the step is done again")
        shutil.rmtree(folder)
    return folder.exists()
