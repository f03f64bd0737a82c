"""After a kill: runs, processes and files of processes that are gone are marked, ended or removed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from mlflow.tracking import MlflowClient

from modelyard.files import is_abandoned
from modelyard.home import Home
from modelyard.machine.identity import PARENT_VARIABLE, is_gone
from modelyard.tracking.runs import PROCESS_TAG
from modelyard.tracking.store import open_store

SCRATCH = re.compile(r"\..+\.[a-z0-9_]{8}")
BODIES = "modelyard.steps."
"""Modules that run as a process of their own (`modelyard.machine.child`)."""
TEMPORARY = re.compile(r"\..+\.(\d+)(?:-[0-9a-f]{8})?\.tmp")
NOTE = "its process was killed; the same command goes on from the last checkpoint"


def reconcile(home: Home) -> list[str]:
    """Put right what killed processes of this machine left in the store; says what was done, a line each.

    Safe beside living runs: a run, training, folder or file is only touched when the process that it belongs
    to is gone.
    """
    if not home.database.exists():
        return []
    return [*_end_orphans(home), *_mark_killed(home), *_remove_scraps(home)]


def _end_orphans(home: Home) -> Iterator[str]:
    """Trainings of this store whose run is gone. On Linux the kernel has ended them already."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            command = process.cmdline()
            if not any(word.startswith(BODIES) for word in command):
                continue
            if not command[-1].startswith(str(home.steps)):
                continue
            if is_gone(process.environ().get(PARENT_VARIABLE, ""), home):
                if sys.platform != "win32" and os.getpgid(process.pid) == process.pid:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
                yield f"ended training {process.pid}: its run is gone"


def _mark_killed(home: Home) -> Iterator[str]:
    client, experiment = open_store(home)
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        workers = run.data.tags.get(PROCESS_TAG, "").split()
        if workers and all(is_gone(name, home) for name in workers):
            client.set_tag(run.info.run_id, "mlflow.note.content", NOTE)
            client.set_terminated(
                run.info.run_id, "KILLED", _last_sign(client, run.info.run_id, run.info.start_time)
            )
            yield f"marked {run.info.run_name} as killed: {NOTE}"


def _last_sign(client: MlflowClient, run_id: str, start_ms: int) -> int:
    """When the run was last heard of, ms: its last epoch, else its start. Nobody knows when it was killed."""
    return max([start_ms, *(metric.timestamp for metric in client.get_metric_history(run_id, "train/loss"))])


def _remove_scraps(home: Home) -> Iterator[str]:
    folders = [home.steps, home.checkpoints, home.releases, home.state, home.sweeps]
    for folder in (*folders, *_subfolders(home.releases), *_subfolders(home.state / "mirror")):
        if not folder.is_dir():
            continue
        for path in folder.glob(".*"):
            with suppress(FileNotFoundError):
                if SCRATCH.fullmatch(path.name) and path.is_dir() and is_abandoned(path):
                    shutil.rmtree(path)
                    yield f"removed {path}: its writer is gone"
                elif (
                    (match := TEMPORARY.fullmatch(path.name))
                    and is_abandoned(path)
                    and not psutil.pid_exists(int(match[1]))
                ):
                    path.unlink()
                    yield f"removed {path}: its writer is gone"


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
