"""How much memory is worth taking here: a container's limit counts, where the machine has more."""

from __future__ import annotations

from pathlib import Path

import psutil

MEMBERSHIP, CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
FILES = {"": ("memory.max", "memory.current"), "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes")}
"""Limit and use by controller: version 2 has one tree without a name (kernel documentation,
admin-guide/cgroup-v2).
"""


def available_bytes(membership: Path = MEMBERSHIP, cgroups: Path = CGROUPS) -> int:
    """Free memory of the machine, or what is left of the tightest limit that this process is under."""
    left = [
        room for folder, files in _groups(membership, cgroups) if (room := _room(folder, *files)) is not None
    ]
    free: int = psutil.virtual_memory().available
    return max(0, min([free, *left]))


def _groups(membership: Path, cgroups: Path) -> list[tuple[Path, tuple[str, str]]]:
    """Folders of the groups that hold this process, up to the root, with the names of their files."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return []
    groups = []
    for _, controller, path in lines:
        if controller in FILES:
            top, inside = cgroups / controller, Path(path.lstrip("/"))
            groups += [(top / part, FILES[controller]) for part in (inside, *inside.parents)]
    return groups


def _room(folder: Path, limit: str, use: str) -> int | None:
    """What the group may still take, its file pages that nobody used lately counted as free; None without a
    limit.
    """
    try:
        text = (folder / limit).read_text().strip()
        if text == "max":
            return None
        facts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(text) - int((folder / use).read_text()) + int(facts.get("inactive_file", 0))
    except (OSError, ValueError):
        return None
