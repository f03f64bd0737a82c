"""The record of a running `modelyard up`, in which other commands find its Prefect server."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from modelyard.files import write_json
from modelyard.home import Home
from modelyard.machine.identity import is_gone, lives_here

SOCKET_FOLDER = "modelyard-up-"
"""What the folder of a socket begins with that has no place in the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpState:
    """A `modelyard up` of this store."""

    process: str
    """Identity of the supervisor."""
    socket: str
    """Where the supervisor listens."""
    addresses: dict[str, str]
    """Part -> its address; those without one are left out."""

    @property
    def where(self) -> str:
        """Of a supervisor that cannot be seen from here."""
        host = self.process.partition(":")[2].partition(":")[0]
        return (
            ""
            if lives_here(self.process)
            else f" in another container or machine (host {host}; if gone, remove up.json)"
        )


def _file(home: Home) -> Path:
    return home.state / "up.json"


def write_state(home: Home, state: UpState) -> None:
    """Raises: StoreError when it cannot be written."""
    write_json(_file(home), asdict(state))


def read_state(home: Home) -> UpState | None:
    """What was written last, be it still running or not; None before the first `up` and after an
    orderly end.
    """
    try:
        return UpState(**json.loads(_file(home).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def running_state(home: Home) -> UpState | None:
    """The `up` that runs now on this store; None when there is none."""
    state = read_state(home)
    return state if state is not None and not is_gone(state.process, home) else None


def remove_state(home: Home) -> None:
    """After an orderly end."""
    state = read_state(home)
    if state is not None and (folder := Path(state.socket).parent).name.startswith(SOCKET_FOLDER):
        with suppress(OSError):
            folder.rmdir()
    _file(home).unlink(missing_ok=True)
