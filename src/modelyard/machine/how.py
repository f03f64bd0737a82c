"""What decides how a step is done on this machine, and nothing of what comes of it: it is in no key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelyard.home import Home
from modelyard.progress import EpochReport

OnEpoch = Callable[[EpochReport], None]
DEFAULT_DEVICE = "auto"
"""Of every command and request that names none; `training/precision.py` says which words there are."""


def silent(_report: EpochReport) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class How:
    """Where and beside what a step works, and who is told."""

    home: Home
    label: str = ""
    """The architecture as the user named it."""
    device: str = DEFAULT_DEVICE
    cores: int | None = None
    """Of the CPU, for a training beside others; None: all. Another number may change the last bits of the
    weights."""
    in_process: bool = False
    """Not in a child of its own."""
    own_file: str = ""
    """Where the user's own module lies now; empty where there is none."""
    checkpoint: str = ""
    """File that an interrupted training goes on from."""
    code: str = ""
    """Digest that the code has to have; empty: any."""
    on_epoch: OnEpoch = silent
