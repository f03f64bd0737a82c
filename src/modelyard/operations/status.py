"""What the parts of `modelyard up` do at this moment."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from modelyard.errors import StoreError
from modelyard.home import Home
from modelyard.operations.parts import HEALTH
from modelyard.operations.state import UpState, read_state, running_state
from modelyard.operations.supervisord import interface
from modelyard.operations.work_pool import worker_state
from modelyard.releases.pointers import has_pointers

PATIENCE = 5.0
"""Seconds that a part may take to say that it is well, on a busy machine, too."""


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part."""

    name: str
    state: str
    seconds: int
    """Since it was started; 0 where it does not run."""
    pid: int
    address: str
    log: str

    @property
    def is_ready(self) -> bool:
        """Whether it does its work."""
        return self.state in {"ready", "running"} or self.state.startswith("waiting")

    def as_row(self) -> dict[str, Any]:
        """What `modelyard status` shows."""
        return {
            "part": self.name, "state": self.state, "s": self.seconds, "pid": self.pid,
            "address": self.address, "log": self.log,
        }  # fmt: skip


def part_statuses(home: Home) -> list[PartStatus]:
    """Each part in its order; empty when nothing runs. Raises: StoreError when the supervisor was killed."""
    state = running_state(home)
    if state is None:
        if read_state(home) is not None:
            raise StoreError(
                "the supervisor of modelyard up was killed and its parts ended with it; start it "
                "with: modelyard up"
            )
        return []
    try:
        with interface(state) as supervisor:
            processes = supervisor.getAllProcessInfo()
    except OSError as error:
        raise StoreError(
            f"the supervisor{state.where} does not answer ({error}); see {home.logs / 'up.log'}"
        ) from None
    return [_status(home, state, process) for process in processes]


def _status(home: Home, state: UpState, process: dict[str, Any]) -> PartStatus:
    name, address = process["name"], state.addresses.get(process["name"], "")
    seconds = max(0, process["now"] - process["start"]) if process["statename"] == "RUNNING" else 0
    words = part_state(home, process, address)
    if words == "running":  # the worker, which has no address
        words = worker_state(home, state.addresses.get("prefect"))
    return PartStatus(name, words, seconds, process["pid"], address, str(home.logs / f"{name}.log"))


def part_state(home: Home, process: dict[str, Any], address: str) -> str:
    """In words; `process` as supervisord describes it."""
    if process["statename"] != "RUNNING":
        has_failed = process["statename"] in {"BACKOFF", "FATAL"}
        why = f" ({process['spawnerr'] or process['description']})" if has_failed else ""
        return f"{process['statename'].lower()}{why}"
    if not address:
        return "running"
    try:
        with urllib.request.urlopen(f"{address}{HEALTH[process['name']]}", timeout=PATIENCE):
            return "ready"
    except urllib.error.HTTPError as error:
        return f"answers {error.code}"
    except TimeoutError:  # it listens: a server that is busy, or whose workers still import
        return f"no answer in {PATIENCE:g} s"
    except OSError:
        waits = process["name"] == "serve" and not has_pointers(home.releases)
        return "waiting for a first release" if waits else "starting"
