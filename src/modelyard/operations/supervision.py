"""The supervisor (http://supervisord.org) that keeps the parts running, and how it is asked and told."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from supervisor.xmlrpc import Faults, SupervisorTransport

from modelyard.errors import ConfigError, StoreError
from modelyard.files import make_folder, write_atomically
from modelyard.home import Home
from modelyard.machine.identity import hold_place, identity
from modelyard.operations.parts import Part, hold
from modelyard.operations.sign_in import make_auth
from modelyard.operations.state import (
    SOCKET_FOLDER,
    UpState,
    read_state,
    remove_state,
    running_state,
    write_state,
)

START_SECONDS, STOP_SECONDS, READY_SECONDS = 30.0, 40.0, 120.0
PATIENCE = 5.0
"""Seconds that a part may take to say that it is well, on a busy machine, too."""
MAX_SOCKET_PATH = 100
"""Of 107 that the kernel takes."""


def refuse_second(home: Home) -> None:
    """Raises: ConfigError when `modelyard up` runs on this store."""
    if state := running_state(home):
        runs = f"modelyard up runs already on {home.root}{state.where}"
        raise ConfigError(f"{runs}; see modelyard status, or end it with modelyard down")


def start(home: Home, parts: Sequence[Part], *, detach: bool) -> None:
    """Start the supervisor; its parts follow. Raises: ConfigError when one runs already, StoreError when it
    does not start.
    """
    with FileLock(make_folder(home.locks) / "up.lock"):
        refuse_second(home)
        _start(home, parts, detach=detach)


def wait(home: Home) -> None:
    """Until the supervisor ends. Raises: StoreError when it was killed."""
    while running_state(home):
        time.sleep(0.5)
    if read_state(home):
        raise StoreError(f"the supervisor ended by itself; see {home.logs / 'up.log'}")


def _start(home: Home, parts: Sequence[Part], *, detach: bool) -> None:
    make_folder(home.logs)
    socket = _socket_path(home)
    socket.unlink(missing_ok=True)
    configuration = make_folder(home.state) / "supervisord.conf"
    write_atomically(configuration, _configuration(home, parts, socket).encode())
    command = [sys.executable, "-P", "-m", "supervisor.supervisord", "--configuration", str(configuration)]
    if not detach:  # ends with this process, however that ends
        command = [sys.executable, "-P", "-m", "modelyard.machine.bound", "SIGTERM", *command]
    with (home.logs / "up.log").open("ab") as log, ExitStack() as held:
        stdin = subprocess.DEVNULL
        for part in parts:
            if part.name == "prefect":
                make_auth(home)  # where it cannot be kept, this is told before anything runs
                stdin = held.enter_context(hold(part)).fileno()  # the one file that it keeps when it reloads
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
        )
    addresses = {part.name: part.address for part in parts if part.address}
    hold_place(home)
    state = UpState(process=identity(process.pid), socket=str(socket), addresses=addresses)
    write_state(home, state)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError, xmlrpc.client.Fault), _server(state) as server:
            server.getState()
            return
        time.sleep(0.1)
    raise StoreError(f"the supervisor did not start; see {home.logs / 'up.log'}")


def stop(home: Home) -> bool:
    """End everything; whether there was anything. Raises: StoreError when it does not end."""
    state = running_state(home)
    if state is None:
        remove_state(home)
        return False
    with suppress(OSError, xmlrpc.client.Error), _server(state) as server:
        server.shutdown()
    deadline = time.monotonic() + STOP_SECONDS
    while running_state(home) is not None:
        if time.monotonic() > deadline:
            raise StoreError(
                f"the supervisor{state.where} does not end within {STOP_SECONDS:.0f} s; see "
                f"{home.logs / 'up.log'}"
            )
        time.sleep(0.1)
    remove_state(home)
    return True


def restart(home: Home, name: str) -> None:
    """Stop and start one part. Raises: ConfigError when nothing runs or the part is unknown."""
    state = running_state(home)
    if state is None:
        raise ConfigError("nothing runs; start it with: modelyard up")
    try:
        with _server(state) as server:
            with suppress(xmlrpc.client.Fault):  # it may be down already
                server.stopProcess(name)
            server.startProcess(name)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == Faults.BAD_NAME:
            raise ConfigError(f"unknown part {name!r}: see modelyard status") from None
        raise StoreError(f"{name} does not start: {fault.faultString}; see {home.logs / name}.log") from None


def rows(home: Home) -> list[dict[str, Any]]:
    """One row for each part: state, how long, address; empty when nothing runs. Raises: StoreError when it
    was killed.
    """
    state = running_state(home)
    if state is None:
        if read_state(home) is not None:
            raise StoreError(
                "the supervisor of modelyard up was killed and its parts ended with it; start it "
                "with: modelyard up"
            )
        return []
    try:
        with _server(state) as server:
            found = server.getAllProcessInfo()
    except OSError as error:
        raise StoreError(
            f"the supervisor{state.where} does not answer ({error}); see {home.logs / 'up.log'}"
        ) from None
    return [_row(home, state, info) for info in found]


def is_ready(row: dict[str, Any]) -> bool:
    """Whether a part does its work."""
    return str(row["state"]) in {"ready", "running"} or str(row["state"]).startswith("waiting")


def _row(home: Home, state: UpState, info: dict[str, Any]) -> dict[str, Any]:
    from modelyard.operations.work_pool import worker_state

    name, address = info["name"], state.addresses.get(info["name"], "")
    log = home.logs / f"{name}.log"
    seconds = max(0, info["now"] - info["start"]) if info["statename"] == "RUNNING" else 0
    told = _state(home, info, address)
    if told == "running":  # the worker, which has no address
        told = worker_state(home, state.addresses.get("prefect"))
    return {
        "part": name,
        "state": told,
        "s": seconds,
        "pid": info["pid"],
        "address": address,
        "log": str(log),
    }


def _state(home: Home, info: dict[str, Any], address: str) -> str:
    from modelyard.operations.parts import HEALTH
    from modelyard.operations.serving import has_release

    if info["statename"] != "RUNNING":
        why = (
            f" ({info['spawnerr'] or info['description']})"
            if info["statename"] in {"BACKOFF", "FATAL"}
            else ""
        )
        return f"{info['statename'].lower()}{why}"
    if not address:
        return "running"
    try:
        with urllib.request.urlopen(f"{address}{HEALTH[info['name']]}", timeout=PATIENCE):
            return "ready"
    except urllib.error.HTTPError as error:
        return f"answers {error.code}"
    except TimeoutError:
        return (
            f"no answer in {PATIENCE:g} s"  # it listens: a server that is busy, or whose workers still import
        )
    except OSError:
        return (
            "waiting for a first release" if info["name"] == "serve" and not has_release(home) else "starting"
        )


@contextmanager
def _server(state: UpState) -> Iterator[Any]:
    """The supervisor's own interface (XML-RPC over its socket)."""
    transport = SupervisorTransport(None, None, f"unix://{state.socket}")
    try:
        yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor
    finally:
        transport.close()


def _socket_path(home: Home) -> Path:
    """In the store, or where the path is short enough for the kernel: in a new folder that is this user's
    alone.
    """
    inside = make_folder(home.state) / "up.sock"
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH:
        return inside
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return (
        Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER, dir=runtime if Path(runtime).is_dir() else None))
        / "up.sock"
    )


def _configuration(home: Home, parts: Sequence[Part], socket: Path) -> str:
    """supervisord's file; each part in a process group of its own that ends with the supervisor."""
    lines = [
        "[supervisord]",
        "nodaemon=true",
        f"logfile={home.logs / 'up.log'}",
        "logfile_maxbytes=5MB",
        "logfile_backups=2",
        f"pidfile={home.state / 'up.pid'}",
        "identifier=modelyard",
        "[unix_http_server]",
        f"file={socket}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for part in parts:
        command = shlex.join(
            (sys.executable, "-P", "-m", "modelyard.machine.bound", "SIGKILL", *part.command)
        )
        log = str(home.logs / f"{part.name}.log").replace(
            "%", "%%"
        )  # of all that is told supervisord expands this twice
        lines += [
            f"[program:{part.name}]",
            f"command={command}",
            "autorestart=true",
            "startsecs=3",
            "startretries=1000000",
            "stopasgroup=true",
            "killasgroup=true",
            "stopwaitsecs=15",
            "redirect_stderr=true",
            f"stdout_logfile={log}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=3",
            "environment=" + ",".join(f'{name}="{value}"' for name, value in part.environment.items()),
        ]
    return "\n".join(line if line.startswith("[") else line.replace("%", "%%") for line in lines) + "\n"
