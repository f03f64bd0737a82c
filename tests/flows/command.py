"""The real command as the tests of this folder call it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_HOME, temporary_settings

from flows.ephemeral import ephemeral_server
from flows.processes import _wait_until_ready
from modelyard.home import Home
from tests.data.samples import modelyard
from tests.trained import ASSIGNMENTS

ROOT = Path(__file__).parents[2]
SMALL = [word for assignment in ASSIGNMENTS for word in ("--set", assignment)]
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


def run_here(environment: dict[str, str], *words: str) -> int:
    """The exit code of `modelyard ...` in this process, which has imported all that it needs."""
    home = Home(Path(environment["MODELYARD_HOME"]))
    with patch.dict(os.environ, environment, clear=True), temporary_settings({PREFECT_HOME: home.prefect}):
        return modelyard(*words)


@contextmanager
def prefect_served(home: Home) -> Iterator[SyncPrefectClient]:
    """A server for the flows and schedules of this process."""
    told = {"PREFECT_HOME": str(home.prefect), "MODELYARD_HOME": str(home.root)}
    with patch.dict(os.environ, told), ephemeral_server(home) as server:
        server.go()
        api = {PREFECT_API_URL: f"{server.address}/api", PREFECT_API_AUTH_STRING: server.auth}
        with temporary_settings({**api, PREFECT_HOME: home.prefect}):
            _wait_until_ready(server, home)
            try:
                with get_client(sync_client=True) as made:
                    yield made
            finally:  # threads would send what the next flow of this process tells to this server
                for worker in (APILogWorker, EventsWorker):
                    worker.drain_all(timeout=5)
