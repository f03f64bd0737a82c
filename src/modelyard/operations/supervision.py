"""Starting and stopping the supervisor that keeps the parts of `modelyard up` running."""

from __future__ import annotations

import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from filelock import FileLock
from supervisor.xmlrpc import Faults

from modelyard.errors import ConfigError, StoreError
from modelyard.files import make_folder, write_atomically
from modelyard.home import Home
from modelyard.machine.identity import hold_place, identity
from modelyard.operations.parts import Part, hold
from modelyard.operations.sign_in import make_auth
from modelyard.operations.state import UpState, read_state, remove_state, running_state, write_state
from modelyard.operations.supervisord import configuration, interface, socket_path

START_SECONDS, STOP_SECONDS, READY_SECONDS = 30.0, 40.0, 120.0


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
    socket = socket_path(home)
    socket.unlink(missing_ok=True)
    file = make_folder(home.state) / "supervisord.conf"
    write_atomically(file, configuration(home, parts, socket).encode())
    command = [sys.executable, "-P", "-m", "supervisor.supervisord", "--configuration", str(file)]
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
        with suppress(OSError, xmlrpc.client.Fault), interface(state) as supervisor:
            supervisor.getState()
            return
        time.sleep(0.1)
    raise StoreError(f"the supervisor did not start; see {home.logs / 'up.log'}")


def stop(home: Home) -> bool:
    """End everything; whether there was anything. Raises: StoreError when it does not end."""
    state = running_state(home)
    if state is None:
        remove_state(home)
        return False
    with suppress(OSError, xmlrpc.client.Error), interface(state) as supervisor:
        supervisor.shutdown()
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
        with interface(state) as supervisor:
            with suppress(xmlrpc.client.Fault):  # it may be down already
                supervisor.stopProcess(name)
            supervisor.startProcess(name)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == Faults.BAD_NAME:
            raise ConfigError(f"unknown part {name!r}: see modelyard status") from None
        raise StoreError(f"{name} does not start: {fault.faultString}; see {home.logs / name}.log") from None
