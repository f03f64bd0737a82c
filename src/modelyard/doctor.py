"""A look at the machine and the store."""

from __future__ import annotations

import importlib.metadata
import shutil
import sqlite3
from typing import Any

import onnxruntime

from modelyard.home import Home
from modelyard.inference import usable_cores

PACKAGES = ("torch", "torchvision", "prefect", "mlflow", "onnx", "fastapi", "sqlalchemy")


def examine(home: Home) -> dict[str, Any]:
    """Name -> finding, in the order to read them."""
    wheels = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    report: dict[str, Any] = {name: _version(name) or "missing" for name in PACKAGES}
    report["onnxruntime"] = " and ".join(f"{name} {_version(name)}" for name in wheels)
    if len(wheels) > 1:
        report["onnxruntime clash"] = "both wheels share one folder: uninstall both, then install one"
    report["providers"] = ", ".join(onnxruntime.get_available_providers())
    report["usable cores"] = usable_cores()
    report["store"] = str(home.root)
    free = shutil.disk_usage(home.root if home.root.exists() else home.root.parent).free
    report["free disk"] = f"{free / 1e9:.1f} GB"
    report["database"] = _database(home)
    return report


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _database(home: Home) -> str:
    if not home.database.exists():
        return "none yet; the first run makes it"
    try:
        with sqlite3.connect(f"file:{home.database}?mode=ro", uri=True) as connection:
            check = connection.execute("PRAGMA quick_check").fetchone()[0]
            location = connection.execute("SELECT artifact_location FROM experiments WHERE name = 'modelyard'").fetchone()
    except sqlite3.Error as error:
        return f"cannot be read: {error}"
    if location and location[0] != str(home.artifacts):
        return f"moved: made for {location[0]}, now at {home.artifacts}; move it back"
    return str(check)
