"""A run's session with Prefect's server: nothing is lost at its end, and runs that were killed are marked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from prefect import tags
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

from flows.ephemeral import OwnServer
from flows.reconciliation import reconcile
from modelyard.errors import StoreError
from modelyard.files import check_space
from modelyard.home import Home
from modelyard.machine.identity import own_identity

START_SECONDS = 180.0


@contextmanager
def prefect_session(home: Home, server: OwnServer | None) -> Iterator[Callable[[], object]]:
    """This process's flows go to `server`; call what it yields before the first flow: it waits and marks what
    was killed.

    Without one, PREFECT_API_URL names the server, which is somebody else's and stays as it is.
    """
    with tags(own_identity(home)):
        if server is None:
            yield reconcile
            return
        settings: dict[Any, Any] = {
            PREFECT_API_URL: f"{server.address}/api",
            PREFECT_API_AUTH_STRING: server.auth,
        }
        if (
            server.process is not None
        ):  # without a scheduler nobody reads heartbeats, and every flow waits a second for its own
            settings[PREFECT_FLOWS_HEARTBEAT_FREQUENCY] = None

        def begin() -> None:
            _wait_until_ready(server, home)
            reconcile()

        with temporary_settings(settings):
            try:
                yield begin
            finally:  # threads hold logs and events, which must arrive before the server goes
                for worker in (APILogWorker, EventsWorker):
                    worker.drain_all(timeout=5)


def _wait_until_ready(server: OwnServer, home: Home) -> None:
    """Until it takes the string; that of `modelyard up` may be starting with a new one."""
    user, _, password = server.auth.partition(":")
    deadline, process = time.monotonic() + START_SECONDS, server.process
    while (process is None or process.poll() is None) and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            asked = httpx.get(f"{server.address}/api/admin/version", auth=(user, password), timeout=5)
            if asked.status_code == httpx.codes.OK:
                return
        time.sleep(0.05)
    check_space(home.root)
    log = "prefect-server.log" if process is not None else "prefect.log"
    raise StoreError(f"Prefect's server did not start; see {home.logs / log}, then modelyard doctor")
