"""Who may read the store: its owner alone, or a group, too (what reading commands and servers need)."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from modelyard.errors import ConfigError, StoreError
from modelyard.home import Home

PRIVATE, SHARED_ROOT, SHARED = 0o700, 0o2710, 0o2750
"""Modes of folders. What is new gets the group of one with setgid, and is opened in a `SHARED` one
(`open_as_folder`).
"""

DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def close_root(home: Home) -> bool:
    """Make the store's folder, and close one that others can look into unless `share` opened it; whether that
    was so.

    Releases that were open inside stay so for who has them mounted, as a container.
    """
    home.root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    mode = _mode(home.root)
    if not mode & 0o077 or mode == SHARED_ROOT or mode & stat.S_ISVTX:  # as /tmp: not a store's own
        return False
    home.root.chmod(PRIVATE)
    for folder in (home.releases, *home.releases.glob("*")):
        if folder.is_dir() and _mode(folder) & 0o055 == 0o055:
            folder.chmod(0o2755)
    return _mode(home.root) != mode and any(child.name != ".gitkeep" for child in home.root.iterdir())


def share(home: Home, group: str | None) -> int:
    """Let a group read the releases with their ledgers and MLflow's database, close all else; gives the
    group's number.

    group: name or number; None is the group of the store's folder.
    Raises: ConfigError for an unknown group; StoreError where there is no store, or not this user's, or not
    this user's group.
    """
    _demand_store(home)
    number = home.root.stat().st_gid if group is None else _number(group)
    try:
        os.chown(home.root, -1, number)
    except PermissionError:
        owner = home.root.stat().st_uid
        raise StoreError(
            f"{home.root} is user {owner}'s, who alone can share it, with a group that this user is in"
        ) from None
    for path in home.root.iterdir():
        if path != home.releases and not path.match(f"{home.database.name}*"):
            _set(path, None, deep=False)
    home.releases.mkdir(exist_ok=True)
    _set_readable(home, number)
    home.root.chmod(SHARED_ROOT)
    if _mode(home.root) != SHARED_ROOT:
        raise StoreError(
            f"the file system of {home.root} keeps no modes ({_mode(home.root):o}): share it by its own means"
        )
    return number


def unshare(home: Home) -> None:
    """Close the store to all but its owner. Raises: StoreError where there is none."""
    _demand_store(home)
    home.root.chmod(PRIVATE)
    _set_readable(home, None)


def told_to_reader(home: Home, error: BaseException | None) -> str | None:
    """What a reader of somebody else's store is told of a command that would write to it, or read what is not
    shared.
    """
    while error is not None and getattr(error, "errno", None) not in DENIED:
        error = error.__cause__ or error.__context__
    if not str(getattr(error, "filename", "")).startswith(str(home.root)) or not os.access(
        home.root, os.X_OK
    ):
        return None
    if (owner := home.root.stat().st_uid) == os.geteuid():
        return None
    return (
        f"the store {home.root} belongs to {_user(owner)}; you may only read what it shares "
        "(models, predict, serve, doctor):"
        f" run as {_user(owner)}, or name a store of your own by MODELYARD_HOME"
    )


def _user(number: int) -> str:
    import pwd  # not on Windows

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _demand_store(home: Home) -> None:
    if not home.database.exists():
        raise StoreError(f"there is no store at {home.root} yet; the first modelyard run makes it")


def _set_readable(home: Home, group: int | None) -> None:
    """SQLite's own files last: new ones have the database's mode. Its copies are nobody's business."""
    _set(home.releases, group)
    _set(home.database, group)
    for path in home.root.glob(f"{home.database.name}[-.]*"):
        _set(path, group if path.match("*.db-*") else None)


def _number(group: str) -> int:
    import grp  # not on Windows

    with suppress(KeyError, ValueError):
        return grp.getgrnam(group).gr_gid
    if re.fullmatch("[0-9]{1,9}", group):
        return int(group)
    raise ConfigError(f"--group expects a group of this machine or its number, received {group!r}")


def _set(path: Path, group: int | None, *, deep: bool = True) -> None:
    """Open to a group, or close, `path` and all below it, each folder before it is read; no links, nothing
    that vanishes.
    """
    with suppress(FileNotFoundError):
        is_folder = path.is_dir()
        if path.is_symlink():
            return
        if group is None:
            path.chmod(_mode(path) & PRIVATE)
        else:
            os.chown(path, -1, group)
            path.chmod(SHARED if is_folder else 0o640)
        for child in path.iterdir() if deep and is_folder else ():
            _set(child, group)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
