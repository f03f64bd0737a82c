"""Processes by host, id and start time, so that a reused id is not mistaken for the one that is gone."""

from __future__ import annotations

import platform

import psutil

PREFIX = "process:"
PARENT_VARIABLE = "MODELYARD_PARENT"
"""In a training's environment: the identity of the process that it works for."""


def identity(pid: int) -> str:
    """`process:host/pid/start`, the same for as long as the process lives. Raises: psutil.NoSuchProcess."""
    return f"{PREFIX}{platform.node()}/{pid}/{psutil.Process(pid).create_time():.2f}"


def is_gone(name: str) -> bool:
    """Whether `name` is the identity of a process of this machine that is no more."""
    before, _, rest = name.partition(f"{PREFIX}{platform.node()}/")
    if before or not rest:
        return False
    try:
        process = psutil.Process(int(rest.partition("/")[0]))
        return identity(process.pid) != name or process.status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return True
