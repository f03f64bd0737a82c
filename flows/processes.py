"""The Prefect server beside a run: started early, ended surely, and swept up after a kill -9."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock
from prefect import tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Crashed

from modelyard.files import write_json
from modelyard.home import Home


@contextmanager
def prefect_session(home: Home) -> Iterator[Callable[[], None]]:
    """A server for this process's flows; call what it yields before the first flow.

    With PREFECT_API_URL set the server is somebody else's, and only the tag is added.
    """
    if PREFECT_API_URL.value():
        with tags(_identity(os.getpid())):
            yield lambda: None
        return
    record = home.prefect / "processes" / f"{os.getpid()}.json"
    starter = threading.Thread(target=_start_server, args=(home, record), daemon=True)
    starter.start()
    # Without a scheduler nobody reads heartbeats, and every flow waits a second for its own to end.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), tags(_identity(os.getpid())):
        try:
            yield starter.join
        finally:
            record.unlink(missing_ok=True)


def _start_server(home: Home, record: Path) -> None:
    home.locks.mkdir(parents=True, exist_ok=True)
    with FileLock(home.locks / "prefect.lock"):  # two servers that migrate one empty database trip over each other
        stale = _end_orphans(record.parent)
        with get_client(sync_client=True) as client:
            client.hello()
            servers = [_identity(child.pid) for child in psutil.Process().children() if "uvicorn" in " ".join(child.cmdline())]
            write_json(record, {"process": _identity(os.getpid()), "servers": servers})
    for identity in stale:
        _mark_crashed(identity)


def _identity(pid: int) -> str:
    """A process by id and start time, so that a reused id is not mistaken for it."""
    return f"{pid}@{psutil.Process(pid).create_time():.2f}"


def _alive(identity: str) -> psutil.Process | None:
    pid, _, _ = identity.partition("@")
    with suppress(psutil.NoSuchProcess):
        if _identity(int(pid)) == identity:
            return psutil.Process(int(pid))
    return None


def _end_orphans(folder: Path) -> list[str]:
    """End the servers of runs that were killed; gives the identities of those runs."""
    stale = []
    for record in folder.glob("*.json"):
        known = json.loads(record.read_text())
        if _alive(known["process"]) is None:
            for server in filter(None, map(_alive, known["servers"])):
                server.terminate()
            stale.append(known["process"])
            record.unlink(missing_ok=True)
    return stale


def _mark_crashed(identity: str) -> None:
    """Flow runs that a killed process left Running would stay so for ever."""
    unfinished = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    chosen = FlowRunFilter(state=FlowRunFilterState(type=unfinished), tags=FlowRunFilterTags(all_=[identity]))
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=chosen):
            client.set_flow_run_state(run.id, Crashed(message="its process was killed"), force=True)
