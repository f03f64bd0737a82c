"""Writing and checking files so that a crash never leaves half of one behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelyard.errors import StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SEAL_FILE = "sha256.json"
YOUNG_SECONDS = 60.0
NEEDED_BYTES = 1_000_000
"""With less room neither database can take another record."""


def sha256_of_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_json(value: object) -> str:
    """Hex digest of a JSON value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def seal(folder: Path) -> None:
    """Record the digest of every file in `folder`."""
    write_json(folder / SEAL_FILE, {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())})


def is_sealed(folder: Path) -> bool:
    """Whether every file of `folder` is there and as it was when it was sealed."""
    try:
        digests = json.loads((folder / SEAL_FILE).read_text())
        return all(sha256_of_file(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError):
        return False


def _refused(path: Path, error: OSError) -> StoreError:
    """numpy tells a full disk in bytes requested and written, without the system's word for it."""
    return StoreError(f"cannot write {path}: {error.strerror or error}; free space or choose another MODELYARD_HOME")


def write_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace `path` by `content` in one step; 0o600 is for its owner alone.

    Raises: StoreError when the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _refused(path, error) from error


def write_json(path: Path, value: object) -> None:
    """`write_atomically` for a JSON value."""
    write_atomically(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def read_private(path: Path) -> str:
    """A file of mode 0600; empty where it is lost, unreadable, not regular, or open to others."""
    with suppress(OSError, ValueError), os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)) as stream:
        found = os.fstat(stream.fileno())
        if stat.S_ISREG(found.st_mode) and not found.st_mode & 0o077 and found.st_uid == os.geteuid():
            return stream.read()
    return ""


def make_folder(path: Path) -> Path:
    """Create `path` with its parents. Raises: StoreError when it cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(path, error) from error
    return path


def check_space(folder: Path) -> None:
    """Raises: StoreError when less than `NEEDED_BYTES` are free."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise StoreError(f"the disk of {folder} is full ({free / 1e6:.1f} MB free); free space and run the same command again")


@contextmanager
def folder_written_whole(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` by one rename, or vanishes on any error.

    If another process finished the same folder first, that one stays. While it is written the kernel holds a lock on it, so
    that one whose writer was killed can be told from one in the making (`is_abandoned`).
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _refused(target, error) from error
    lock = lock_folder(scratch)
    try:
        yield scratch
        scratch.chmod(0o755)
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
    """Say that `owner` uses a folder, as long as it lives: housekeeping of this machine leaves it where it is."""
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
