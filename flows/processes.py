"""The Prefect server beside a run: started early, ended surely; runs that were killed are marked."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from prefect import tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Crashed

from modelyard.errors import StoreError
from modelyard.files import check_space, make_folder
from modelyard.home import Home
from modelyard.identity import identity, is_gone

START_SECONDS = 180.0


@contextmanager
def prefect_session(home: Home) -> Iterator[Callable[[], None]]:
    """A server for this process's flows; call what it yields before the first flow.

    With PREFECT_API_URL set the server is somebody else's and stays as it is.
    """
    with tags(identity(os.getpid())):
        if PREFECT_API_URL.value():
            yield _mark_killed_runs
            return
        server, address = _start_server(home)
        # Without a scheduler nobody reads heartbeats, and every flow waits a second for its own to end.
        settings = {PREFECT_API_URL: f"{address}/api", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        try:
            with temporary_settings(settings):
                try:
                    yield lambda: _wait_until_ready(server, address, home)
                finally:
                    _drain()
        finally:
            _stop(server)


def _start_server(home: Home) -> tuple[subprocess.Popen[bytes], str]:
    """A child that listens on a free port of this machine's loopback; its log is in the store."""
    log_file = make_folder(home.logs) / "prefect-server.log"
    lock_file = make_folder(home.locks) / "prefect.lock"
    with socket.create_server(("127.0.0.1", 0)) as listener, log_file.open("ab") as log:
        command = [sys.executable, "-m", "flows.server", str(listener.fileno()), str(lock_file)]
        server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listener.fileno()],
            start_new_session=True, env=os.environ | {"PREFECT_API_BLOCKS_REGISTER_ON_START": "false"},
        )  # fmt: skip
        return server, f"http://127.0.0.1:{listener.getsockname()[1]}"


def _wait_until_ready(server: subprocess.Popen[bytes], address: str, home: Home) -> None:
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/api/health", timeout=5).status_code == httpx.codes.OK:
                return _mark_killed_runs()
        except httpx.TransportError:
            time.sleep(0.1)
    check_space(home.root)
    raise StoreError(f"Prefect's server did not start; see {home.logs / 'prefect-server.log'}, then modelyard doctor")


def _drain() -> None:
    """Prefect hands logs and events to threads; what they still hold must arrive before the server goes."""
    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=5)


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.stdin is not None:
        server.stdin.close()
    try:
        server.wait(timeout=5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _mark_killed_runs() -> None:
    """Flow runs that a killed process of this machine left Running would stay so for ever."""
    unfinished = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    chosen = FlowRunFilter(state=FlowRunFilterState(type=unfinished))
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=chosen):
            if any(map(is_gone, run.tags)):
                client.set_flow_run_state(run.id, Crashed(message="its process was killed"), force=True)
