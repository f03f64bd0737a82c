"""Imports that later steps need, made while a training's process starts and this one waits."""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress

LATER = ("scipy.stats", "modelyard.evaluation.plots", "onnxscript", "onnxruntime")
"""What evaluation and export import, but what only translates: most graphs are kept (best effort)."""


def import_ahead() -> threading.Thread:
    """Import `LATER` beside this thread; an import that fails is left to the step that needs it."""
    thread = threading.Thread(target=_import_all, name="import-ahead", daemon=True)
    thread.start()
    return thread


def _import_all() -> None:
    for name in LATER:
        with suppress(Exception):
            importlib.import_module(name)
