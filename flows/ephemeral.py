"""The Prefect server of a command: a child of its own, or that of `modelyard up`.

Imports nothing heavy: the child starts while the run imports Prefect, torch and MLflow.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass

from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.machine.bound import bound_environment
from modelyard.machine.identity import lives_here
from modelyard.operations.sign_in import make_auth
from modelyard.operations.state import read_state

GO = b"go\n"


@dataclass(slots=True)
class OwnServer:
    """A server on this machine's loopback that is ours, and the string that opens it."""

    address: str
    auth: str
    process: subprocess.Popen[bytes] | None = None
    """The child, whose log is in the store and whose string is in no file; None: it is the one of `modelyard
    up`.
    """
    is_serving: bool = False

    def go(self) -> None:
        """Serve: until now it has only imported and can be dropped at any moment."""
        self.is_serving = True
        if self.process is not None and self.process.stdin is not None:
            with suppress(BrokenPipeError):  # it failed: whoever waits for it will see
                self.process.stdin.write(GO)
                self.process.stdin.flush()


def server_for(home: Home) -> AbstractContextManager[OwnServer | None]:
    """A server for this command: a child, or that of `modelyard up` on this store; None where PREFECT_API_URL
    names another.
    """
    if (address := own_address(home)) is not None:
        return _joined(OwnServer(address, make_auth(home)))
    return nullcontext() if "PREFECT_API_URL" in os.environ else ephemeral_server(home)


def is_own(home: Home) -> bool:
    """Whether `server_for` gives a server of this store."""
    return own_address(home) is not None or "PREFECT_API_URL" not in os.environ


def own_address(home: Home) -> str | None:
    """Of the server of `modelyard up` on this store, while its supervisor lives and PREFECT_API_URL names no
    other.

    Nobody else can serve there meanwhile and be sent the string: the supervisor holds the port.
    """
    state = read_state(home)
    address = state.addresses.get("prefect") if state is not None and lives_here(state.process) else None
    return address if os.environ.get("PREFECT_API_URL") in {None, f"{address}/api"} else None


@contextmanager
def ephemeral_server(home: Home) -> Iterator[OwnServer]:
    """A server that has begun to start; at the end it has finished what it held and is gone."""
    server = _start(home)
    assert server.process is not None
    try:
        with _joined(server):
            yield server
    finally:
        server.process.terminate() if server.is_serving else server.process.kill()
        try:
            server.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


@contextmanager
def _joined(server: OwnServer) -> Iterator[OwnServer]:
    """Before Prefect is imported: its threads and its workers ask the variables, and would start servers of
    their own.
    """
    told = {"PREFECT_API_URL": f"{server.address}/api", "PREFECT_API_AUTH_STRING": server.auth}
    before = {name: os.environ[name] for name in told if name in os.environ}
    os.environ |= told
    try:
        yield server
    finally:
        for name in told:
            del os.environ[name]
        os.environ |= before


def _start(home: Home) -> OwnServer:
    log_file = make_folder(home.logs) / "prefect-server.log"
    lock_file = make_folder(home.locks) / "prefect.lock"
    with socket.create_server(("127.0.0.1", 0)) as listener, log_file.open("ab") as log:
        command = [sys.executable, "-P", "-m", "flows.server", "run", str(listener.fileno()), str(lock_file)]
        auth = f"modelyard:{secrets.token_urlsafe(32)}"
        told = {"PREFECT_API_BLOCKS_REGISTER_ON_START": "false", "PREFECT_SERVER_API_AUTH_STRING": auth}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listener.fileno()],
            start_new_session=True, env=bound_environment() | told,
        )  # fmt: skip
        return OwnServer(f"http://127.0.0.1:{listener.getsockname()[1]}", auth, process)
