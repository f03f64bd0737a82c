"""Prefect's server as a child of one run. Imports nothing heavy: it starts while the run imports Prefect, torch and MLflow."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass

from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.operations.state import running_state

GO = b"go\n"


@dataclass(slots=True)
class EphemeralServer:
    """A server on a free port of this machine's loopback; its log is in the store."""

    process: subprocess.Popen[bytes]
    address: str
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
    """A server for this command; None where there is one: PREFECT_API_URL's, or that of `modelyard up` on this store."""
    state = running_state(home)
    if "PREFECT_API_URL" not in os.environ and state is not None and "prefect" in state.addresses:
        os.environ["PREFECT_API_URL"] = f"{state.addresses['prefect']}/api"
    return nullcontext() if "PREFECT_API_URL" in os.environ else ephemeral_server(home)


@contextmanager
def ephemeral_server(home: Home) -> Iterator[EphemeralServer]:
    """A server that has begun to start; at the end it is gone."""
    server = _start(home)
    # Before Prefect is imported: its threads and its workers ask the variable, and would start servers of their own.
    os.environ["PREFECT_API_URL"] = f"{server.address}/api"
    try:
        yield server
    finally:
        del os.environ["PREFECT_API_URL"]
        server.end()
        try:
            server.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


def _start(home: Home) -> EphemeralServer:
    log_file = make_folder(home.logs) / "prefect-server.log"
    lock_file = make_folder(home.locks) / "prefect.lock"
    with socket.create_server(("127.0.0.1", 0)) as listener, log_file.open("ab") as log:
        command = [sys.executable, "-m", "flows.server", str(listener.fileno()), str(lock_file)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listener.fileno()],
            start_new_session=True, env=os.environ | {"PREFECT_API_BLOCKS_REGISTER_ON_START": "false"},
        )  # fmt: skip
        return EphemeralServer(process, f"http://127.0.0.1:{listener.getsockname()[1]}")
