"""The real command as the tests of this folder call it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).parents[2]
SMALL = [
    "--set",
    "training.epochs=2",
    "--set",
    "training.min_steps=0",
    "--set",
    "training.max_train_images=600",
]
RUN = [sys.executable, "-m", "modelyard", "run", "--dataset", "digits", "--preset", "smoke", "--json", *SMALL]


class Interrupted(NamedTuple):
    """A command that still runs: its process, all that it has started, and what it said on stderr."""

    process: subprocess.Popen[str]
    family: list[psutil.Process]
    said: str


def environment_below(folder: Path, cache: Path) -> dict[str, str]:
    """An empty store below `folder`, and nothing of the caller's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "MODELYARD_"))
    }
    return kept | {"MODELYARD_HOME": str(folder / "runs"), "MODELYARD_CACHE": str(cache)}


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; empty when it is gone."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def started(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    """The command's process."""
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def started_until(command: list[str], environment: dict[str, str], told: str) -> Interrupted:
    """The command once it has told this on stderr."""
    process, said = started(command, environment), ""
    assert process.stderr is not None
    for line in process.stderr:
        said += line
        if told in line:
            break
    return Interrupted(process, psutil.Process(process.pid).children(recursive=True), said)
