"""The real command as the tests of this folder call it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
SMALL = ["--set", "training.epochs=2", "--set", "training.min_steps=0", "--set", "training.max_train_images=600"]
RUN = [sys.executable, "-m", "modelyard", "run", "--dataset", "digits", "--preset", "smoke", "--json", *SMALL]


def environment_below(folder: Path) -> dict[str, str]:
    """An empty store and cache below `folder`, and nothing of the caller's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "MODELYARD_"))}
    return kept | {"MODELYARD_HOME": str(folder / "runs"), "MODELYARD_CACHE": str(folder / "cache")}


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; empty when it is gone."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def started_until(
    command: list[str], environment: dict[str, str], told: str
) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """The command's process once it has told this on stderr, and all that it has started by then."""
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if told in line:
            break
    return process, psutil.Process(process.pid).children(recursive=True)
