"""Modelyard: from a labelled data set to a trustworthy, fast ONNX model, every architecture side by side.

    import modelyard

    result = modelyard.run("digits", preset="smoke")
    model = modelyard.load("digits@champion")
    model.predict(images).labels

Nothing is imported before it is used: a server that imports this package stays small.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelyard.api import RunResult, promote, rollback, run, versions
    from modelyard.inference.model import Model, Prediction, load

__version__ = "0.1.0"
__all__ = ["Model", "Prediction", "RunResult", "load", "promote", "rollback", "run", "versions"]
_ROOMS = {"load": "inference.model", "Model": "inference.model", "Prediction": "inference.model"}
os.environ.setdefault(
    "ORT_DISABLE_TELEMETRY", "1"
)  # onnxruntime reads it while it is imported, and tells Microsoft otherwise


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'modelyard' has no attribute {name!r}")
    return getattr(import_module(f"modelyard.{_ROOMS.get(name, 'api')}"), name)
