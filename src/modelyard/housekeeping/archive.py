"""The file of a backup: a plain tar of a store's files, at its end an index with the digest of each."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from modelyard.errors import StoreError
from modelyard.files import open_regular, parse_json

FOLDERS = ("releases", "artifacts", "steps", "profiles", "sweeps", "state")
DATABASES = ("mlflow.db", "prefect/prefect.db")
INDEX, FORMAT, INDEX_BYTES = "backup.json", 1, 256 * 2**20
STEP = 2**20


@dataclass(slots=True)
class _Digested:
    """A file that is read or written in pieces, its digest taken on the way."""

    stream: IO[bytes]
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def read(self, size: int = -1) -> bytes:
        piece = self.stream.read(size)
        self.digest.update(piece)
        return piece


def add(tar: tarfile.TarFile, name: str, path: Path, digests: dict[str, str]) -> None:
    """What is gone meanwhile is left out; what grows is taken as long as it was. Raises: OSError."""
    try:
        stream = open_regular(path)
    except FileNotFoundError:
        return
    with stream:
        told = os.fstat(stream.fileno())
        entry, source = tarfile.TarInfo(name), _Digested(stream)
        entry.size, entry.mtime, entry.mode = told.st_size, told.st_mtime, 0o600
        tar.addfile(entry, source)
    digests[name] = source.digest.hexdigest()


def checked(file: Path, into: Path | None = None) -> Iterator[str]:
    """The names of a backup's files, each written below `into`; at the end all are as the index says.

    Raises: StoreError for what is no whole backup, tells other paths than a store's or is larger than it
    says.
    """
    digests: dict[str, str] = {}
    try:
        with open_regular(file) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() and not member.sparse else None
                if content is None or not _is_ours(member.name) or member.name in digests:
                    raise StoreError(f"{file} is no backup of a store: it holds {member.name[:80]!r}")
                if member.name == INDEX:
                    return _compare(file, content.read(INDEX_BYTES), digests)
                digests[member.name] = _unpack(member, _Digested(content), into)
                yield member.name
    except (OSError, tarfile.TarError, EOFError) as error:
        raise StoreError(
            f"{file} cannot be read as a backup ({error}); name a file of modelyard store backup"
        ) from error
    raise StoreError(f"{file} is cut short: it has no index; take another backup")


def _is_ours(name: str) -> bool:
    first, *rest = name.split("/")
    return name in {*DATABASES, INDEX} or (
        bool(rest) and first in FOLDERS and not {"", ".", ".."} & set(rest)
    )


def _unpack(member: tarfile.TarInfo, source: _Digested, into: Path | None) -> str:
    if into is None:
        while source.read(STEP):
            pass
    else:
        target = into / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as stream:
            shutil.copyfileobj(source, stream, STEP)
        os.utime(target, (member.mtime, member.mtime))
    return source.digest.hexdigest()


def _compare(file: Path, text: bytes, digests: dict[str, str]) -> None:
    try:
        index = parse_json(text)
        wanted = index["files"] if index["format"] == FORMAT else None
    except (ValueError, TypeError, KeyError):
        wanted = None
    if wanted != digests:
        raise StoreError(
            f"{file} is not as it was written: {INDEX} names other files or digests; take another backup"
        )
