"""The Prefect server of a command: a child of its own, or that of `modelyard up`.

Imports nothing heavy: the child starts while the run imports Prefect, torch and MLflow.
"""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass

from modelyard.errors import StoreError
from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.operations.sign_in import make_auth
from modelyard.operations.state import running_state

GO = b"go\n"
PATIENCE_SECONDS = 120.0
"""For the server of `modelyard up`, which may be starting."""


@dataclass(slots=True)
class EphemeralServer:
    """A server on a free port of this machine's loopback; its log is in the store."""

    process: subprocess.Popen[bytes]
    address: str
    auth: str
    """The string that opens it; no file has it."""
    is_serving: bool = False

    def go(self) -> None:
        """Serve: until now it has only imported and can be dropped at any moment."""
        self.is_serving = True
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):  # it failed: whoever waits for it will see
                self.process.stdin.write(GO)
                self.process.stdin.flush()

    def end(self) -> None:
        """Let it finish what it holds and go."""
        if not self.is_serving:
            self.process.kill()
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()


def server_for(home: Home) -> AbstractContextManager[EphemeralServer | None]:
    """A server for this command; None where there is one: that of `modelyard up` on this store, or PREFECT_API_URL's."""
    api = own_api(home)
    if api is not None:
        return joined(home, api)
    return nullcontext() if "PREFECT_API_URL" in os.environ else ephemeral_server(home)


def own_api(home: Home) -> str | None:
    """The API of `modelyard up` on this store, while its supervisor lives and PREFECT_API_URL names no other.

    Nobody else can serve there meanwhile: the supervisor holds the port.
    """
    state = running_state(home)
    api = f"{state.addresses['prefect']}/api" if state is not None and "prefect" in state.addresses else None
    return api if os.environ.get("PREFECT_API_URL", api) == api else None


@contextmanager
def joined(home: Home, api: str) -> Iterator[None]:
    """The server of `modelyard up`, once it takes this store's string. Raises: StoreError when it does not."""
    auth = make_auth(home)
    _wait_until_accepted(api, auth)
    with _variables(api, auth):
        yield


@contextmanager
def ephemeral_server(home: Home) -> Iterator[EphemeralServer]:
    """A server that has begun to start; at the end it is gone."""
    server = _start(home)
    with _variables(f"{server.address}/api", server.auth):
        try:
            yield server
        finally:
            server.end()
            try:
                server.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()


@contextmanager
def _variables(api: str, auth: str) -> Iterator[None]:
    """Before Prefect is imported: its threads and its workers ask them, and would start servers of their own."""
    told = {"PREFECT_API_URL": api, "PREFECT_API_AUTH_STRING": auth}
    before = {name: os.environ.get(name) for name in told}
    os.environ |= told
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _wait_until_accepted(api: str, auth: str) -> None:
    """It may be starting, with another string than before where the file was lost."""
    asked = urllib.request.Request(f"{api}/admin/version", headers={"Authorization": basic(auth)})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), direct.open(asked, timeout=10):
            return
        time.sleep(0.2)
    raise StoreError("Prefect's server of modelyard up does not answer; see modelyard status, then: modelyard restart prefect")


def basic(auth: str) -> str:
    """The header's value."""
    return f"Basic {base64.b64encode(auth.encode()).decode()}"


def _start(home: Home) -> EphemeralServer:
    log_file = make_folder(home.logs) / "prefect-server.log"
    lock_file = make_folder(home.locks) / "prefect.lock"
    with socket.create_server(("127.0.0.1", 0)) as listener, log_file.open("ab") as log:
        command = [sys.executable, "-m", "flows.server", "run", str(listener.fileno()), str(lock_file)]
        auth = f"modelyard:{secrets.token_urlsafe(32)}"
        told = {"PREFECT_API_BLOCKS_REGISTER_ON_START": "false", "PREFECT_SERVER_API_AUTH_STRING": auth}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listener.fileno()],
            start_new_session=True, env=os.environ | told,
        )  # fmt: skip
        return EphemeralServer(process, f"http://127.0.0.1:{listener.getsockname()[1]}", auth)
