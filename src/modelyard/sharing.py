"""Who may read the store: its owner alone, or also a group what reading commands and servers need."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelyard.errors import ConfigError, StoreError
from modelyard.home import Home

PRIVATE, SHARED_ROOT, SHARED = 0o700, 0o2710, 0o2750
"""Modes of folders. What is new has the group of a folder with setgid, and is opened in a `SHARED` one (`open_as_folder`)."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of this machine."""

    number: int

    @property
    def name(self) -> str:
        """Its number where it has no name, as in a container."""
        import grp

        try:
            return grp.getgrgid(self.number).gr_name
        except KeyError:
            return str(self.number)

    @classmethod
    def called(cls, name: str) -> Group:
        """Raises: ConfigError when there is none."""
        import grp

        if re.fullmatch("[0-9]{1,9}", name):
            return cls(int(name))
        try:
            return cls(grp.getgrnam(name).gr_gid)
        except (KeyError, ValueError):
            raise ConfigError(f"--group expects a group of this machine or its number, received {name!r}") from None


def close_root(home: Home) -> bool:
    """Make the store's folder, and close one that others can look into unless `share` opened it; whether that was so.

    Releases that were open inside stay so for who has them mounted, as a container.
    """
    root = home.root
    root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    mode = _mode(root)
    if not mode & 0o077 or mode == SHARED_ROOT or mode & stat.S_ISVTX:  # as /tmp: not a store's own
        return False
    root.chmod(PRIVATE)
    for folder in (home.releases, *home.releases.glob("*")):
        if folder.is_dir() and _mode(folder) & 0o055 == 0o055:
            folder.chmod(0o2755)
    return _mode(root) != mode and any(child.name != ".gitkeep" for child in root.iterdir())


def share(home: Home, group: str | None = None) -> Group:
    """Let a group read the releases with their ledgers and MLflow's database, and close all else.

    group: a name or number; the one that the store's folder has where it is None.
    Raises: ConfigError for an unknown group or one that the owner is not in; StoreError for no store or another's.
    """
    _demand_own(home)
    chosen = Group(home.root.stat().st_gid) if group is None else Group.called(group)
    mine = {os.getegid(), *os.getgroups()}
    if os.geteuid() and chosen.number not in mine:
        names = ", ".join(sorted(Group(number).name for number in mine))
        raise ConfigError(f"you are not in group {chosen.name}: --group expects one of {names}")
    opened = _opened(home)
    for path in home.root.iterdir():
        if path not in opened and not path.is_symlink():
            path.chmod(_mode(path) & PRIVATE)
    home.releases.mkdir(exist_ok=True)
    for path in opened:
        for found in _tree(path):
            os.chown(found, -1, chosen.number)
            found.chmod(SHARED if found.is_dir() else 0o640)
    os.chown(home.root, -1, chosen.number)
    home.root.chmod(SHARED_ROOT)
    if _mode(home.root) != SHARED_ROOT:
        raise StoreError(
            f"the file system of {home.root} does not keep modes (found {_mode(home.root):o}): share it by its own means"
        )
    return chosen


def unshare(home: Home) -> None:
    """Close the store to all but its owner. Raises: StoreError for no store or another's."""
    _demand_own(home)
    home.root.chmod(PRIVATE)
    for path in _opened(home):
        for found in _tree(path):
            found.chmod(_mode(found) & PRIVATE)


def _demand_own(home: Home) -> None:
    if not home.database.exists():
        raise StoreError(f"there is no store at {home.root} yet; the first modelyard run makes it")
    if os.geteuid() not in {0, owner := home.root.stat().st_uid}:
        raise StoreError(f"{home.root} belongs to user {owner}; only its owner can share it")


def _opened(home: Home) -> list[Path]:
    """The database last: with its log it is whole."""
    return [home.releases, *sorted(home.root.glob(f"{home.database.name}-*")), home.database]


def _tree(path: Path) -> Iterator[Path]:
    """`path` and all below it, each folder before it is read; no links, and nothing that vanishes meanwhile."""
    with suppress(FileNotFoundError):
        if not path.is_symlink():
            yield path
            for child in path.iterdir() if path.is_dir() else ():
                yield from _tree(child)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
