"""The words of `modelyard run`, of a program and of a schedule."""

from __future__ import annotations

from modelyard.config import Config
from modelyard.machine.how import DEFAULT_DEVICE


class Words(Config):
    """What a schedule keeps: each run makes recipes from it anew, with the version installed then."""

    dataset: str
    architectures: tuple[str, ...] = ()
    """Empty: the three tuned ones."""
    preset: str = "standard"
    assignments: tuple[str, ...] = ()
    """As `--set` takes them."""
    seed: int = 0
    device: str = DEFAULT_DEVICE
    skip_unreadable: bool = False
    name: str = ""
    """The model's; empty: that of the data."""
