"""How many threads are worth starting here."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def affinity_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quota_cores(path: Path = CGROUP_QUOTA) -> float | None:
    """Cores a container's CPU quota is worth (cgroup v2 `cpu.max`); None without one."""
    try:
        quota, period = path.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def usable_cores() -> int:
    """Cores worth a thread each: the affinity, or the quota where it is smaller."""
    return max(1, min(affinity_cores(), math.ceil(quota_cores() or affinity_cores())))
