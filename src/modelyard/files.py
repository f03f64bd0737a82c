"""Reading, writing and checking files; a crash never leaves half of one behind."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import time
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

from modelyard.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

YOUNG_SECONDS = 60.0
NEEDED_BYTES = 1_000_000
"""With less room neither database can take another record."""
LONGEST_NAME = 200


def is_plain_name(name: str) -> bool:
    """Whether `name` may be one part of a path: no separator, nothing hidden or unprintable."""
    return (
        0 < len(name) <= LONGEST_NAME
        and name[0] != "."
        and name.isprintable()
        and not {"/", "\\", ":"} & set(name)
    )


def open_regular(path: Path) -> BufferedReader:
    """A regular file, opened for reading. Raises: OSError, also for a FIFO (it would hang) or a device."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)  # not Path.open: without O_NONBLOCK it waits for a FIFO's writer
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, limit: int) -> bytes:
    """All of a regular file of at most `limit` bytes. Raises: OSError, also where it is larger."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
        return stream.read(size)


def parse_json(text: bytes) -> Any:
    """The value. Raises: ValueError for what is no JSON, as NaN and Infinity, or nested too deep."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def full_path(text: str | Path) -> Path:
    """Absolute, `~` and links followed as far as they lead to something."""
    return Path(os.path.realpath(os.path.expanduser(text)))  # noqa: PTH111 - pathlib raises RuntimeError


def sha256_of_file(path: Path) -> str:
    """Hex digest of a regular file's bytes."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_json(value: object) -> str:
    """Hex digest of a JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _refused(path: Path, error: OSError) -> StoreError:
    """numpy reports a full disk without the system's own text for it."""
    remedy = "run as its owner" if isinstance(error, PermissionError) else "free space"
    return StoreError(
        f"cannot write {path}: {error.strerror or error}; {remedy} or choose another MODELYARD_HOME"
    )


def write_atomically(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replace `path` by `content` in one step; `private` is for its owner alone, in a shared folder, too.

    Raises: StoreError when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    mode = 0o600 if private else 0o666
    try:
        make_folder(path.parent)
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            hold_folder(temporary, stream)  # its writer's id says nothing in another container
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if not private:
            open_as_folder(temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _refused(path, error) from error


def write_json(path: Path, value: object) -> None:
    """`write_atomically` for a JSON value."""
    write_atomically(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def read_private(path: Path) -> str:
    """A file of mode 0600; empty where it is lost, unreadable, not regular, or open to others."""
    with suppress(OSError, ValueError), open_regular(path) as stream:
        status = os.fstat(stream.fileno())
        if not status.st_mode & 0o077 and status.st_uid == os.geteuid():
            return stream.read().decode()
    return ""


def make_folder(path: Path) -> Path:
    """Create `path` with its parents. Raises: StoreError when it cannot be written."""
    try:
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            open_as_folder(path)
    except OSError as error:
        raise _refused(path, error) from error
    return path


def open_as_folder(path: Path) -> None:
    """In a folder that `modelyard store share` opened, open what is new as well, whatever the umask."""
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & 0o2070 == 0o2050:  # its group reads, does not write, and is that of new files
        path.chmod(mode if path.is_dir() else mode & 0o666)
        for child in path.iterdir() if path.is_dir() else ():
            open_as_folder(child)


def check_space(folder: Path) -> None:
    """Raises: StoreError when less than `NEEDED_BYTES` are free."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise StoreError(
            f"the disk of {folder} is full ({free / 1e6:.1f} MB free); free space and run the same "
            "command again"
        )


@contextmanager
def folder_written_whole(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` by one rename, or vanishes on any error.

    If another process finished the same folder first, that one stays. While it is written the kernel holds a
    lock on it, so that one whose writer was killed can be told from one in the making (`is_abandoned`).
    """
    try:
        scratch = make_folder(target.parent) / f".{target.name}.{uuid.uuid4().hex[:8]}"
        scratch.mkdir()
    except OSError as error:
        raise _refused(target, error) from error
    lock = lock_folder(scratch)
    try:
        yield scratch
        open_as_folder(scratch)
        if not target.exists():
            scratch.rename(target)
    except OSError as error:
        raise _refused(target, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def lock_folder(folder: Path, *, shared: bool = False) -> int | None:
    """The locked descriptor; None where another process holds the lock, or the system has no such locks.

    A folder that can only be read can be locked, too. Raises: OSError when it is gone.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def hold_folder(folder: Path, owner: object) -> None:
    """As long as `owner` lives, housekeeping of this machine does not remove the folder."""
    with suppress(FileNotFoundError):
        descriptor = lock_folder(folder, shared=True)
        if descriptor is not None:
            weakref.finalize(owner, os.close, descriptor)


def is_held(folder: Path) -> bool:
    """Whether some process uses the folder (`hold_folder`) or writes it."""
    try:
        descriptor = lock_folder(folder)
    except FileNotFoundError:
        return False
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None and fcntl is not None


def is_abandoned(scratch: Path) -> bool:
    """Whether the writer of a scratch folder is gone; a minute's grace for one that was made just now."""
    if time.time() - scratch.stat().st_mtime < YOUNG_SECONDS or (descriptor := lock_folder(scratch)) is None:
        return False
    os.close(descriptor)
    return True
