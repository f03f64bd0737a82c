"""Zip and tar archives, hostile ones too: what their heads promise is held to bounds before anything is
written.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from modelyard.errors import DataError
from modelyard.files import open_regular

ARCHIVE = re.compile(r"(.+)\.(zip|tar|tar\.gz|tgz|tar\.bz2|tbz2?|tar\.xz|txz)", re.IGNORECASE)
MOST_MEMBERS = 1_000_000
LONGEST_NAME = 1000
HEAD_BYTES = 64_000_000
"""Of all heads of a zip archive; tar has them one by one, each with its file."""
TAR_HEAD_BYTES = 1_000_000
XZ_BYTES = 200_000_000
"""Of memory; the highest preset unpacks in 65 MB."""
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    ArithmeticError,
    LookupError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
)
Member = tuple[str, int, Callable[[], IO[bytes]] | None]
"""Name, bytes, and what opens it; None for a folder."""


class _Bounded:
    """A stream that gives no more than `left` bytes: how many its reader asks for, a head says."""

    def __init__(self, stream: IO[bytes], left: int) -> None:
        self.stream, self.left = stream, left
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        if size > self.left:
            raise ValueError("a head that is too large")
        content = self.stream.read(size)
        self.left -= len(content)
        return content


def unpack(path: Path, target: Path, most_bytes: int) -> int:
    """Have all files of an archive below `target`; gives their bytes.

    Raises: DataError for one that is damaged, holds links, devices, encrypted files or paths that lead
    outside, or unpacks to more than `most_bytes` together.
    """
    try:
        with open_regular(path) as file:
            open_members = partial(
                _members, path, file, min(most_bytes, shutil.disk_usage(target.parent).free)
            )
            total = sum(size for _, size, _ in open_members())
            for name, size, opened in open_members():
                place = target / name if opened else target / name / "."
                place.parent.mkdir(parents=True, exist_ok=True)
                if opened:
                    with opened() as source, place.open("xb") as sink:
                        shutil.copyfileobj(source, sink, 2**20)
                    if place.stat().st_size != size:
                        raise ValueError(f"{name} has another size than its head says")
    except BROKEN as error:
        reason = getattr(error, "strerror", None) or str(error)[:200] or type(error).__name__
        raise DataError(
            f"{path}: cannot be unpacked ({reason}); mend it, or unpack it and give the folder"
        ) from error
    return total


def _members(path: Path, file: IO[bytes], most_bytes: int) -> Iterator[Member]:
    """Raises: DataError, and ValueError for what is no plain file inside."""
    file.seek(0)
    head = file.read(6)
    file.seek(0)
    names, total = set(), 0
    for number, (name, size, opened) in enumerate(_zip(file) if head.startswith(b"PK") else _tar(file, head)):
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if re.match(r"[/\\]|.:", name) or ".." in parts or "\0" in name:
            raise ValueError(f"{name[:80]} leads outside")
        if number >= MOST_MEMBERS or len(name) > LONGEST_NAME or size < 0:
            raise ValueError(
                f"more than {MOST_MEMBERS:,} files, or a name of more than {LONGEST_NAME:,} characters"
            )
        if opened and parts in names:
            raise ValueError(f"{name[:80]} is in it twice")
        names.add(parts)
        if (total := total + size) > most_bytes:
            raise DataError(
                f"{path}: unpacks to more than {most_bytes / 1e9:.3g} GB; allow more by "
                "data.max_bytes, or free space"
            )
        yield "/".join(parts), size, opened


def _zip(file: IO[bytes]) -> Iterator[Member]:
    bounded = _Bounded(file, HEAD_BYTES)
    with zipfile.ZipFile(cast(IO[bytes], bounded)) as archive:
        bounded.left = sys.maxsize
        for info in archive.infolist():
            if info.flag_bits & 1 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise ValueError(
                    f"{info.filename[:80]} is encrypted, or packed by another method than deflate"
                )
            if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise ValueError(f"{info.filename[:80]} is a link or a device")
            yield (
                (info.filename, 0, None)
                if info.is_dir()
                else (info.filename, info.file_size, partial(archive.open, info))
            )


def _tar(file: IO[bytes], head: bytes) -> Iterator[Member]:
    if head.startswith(b"\xfd7zXZ"):
        lzma.LZMADecompressor(memlimit=XZ_BYTES).decompress(file.read(4096), 1)
        file.seek(0)
    packed: dict[bytes, Callable[[IO[bytes]], Any]] = {
        b"\x1f\x8b": gzip.open,
        b"BZ": bz2.open,
        b"\xfd7": lzma.open,
    }
    bounded = _Bounded(packed[head[:2]](file) if head[:2] in packed else file, TAR_HEAD_BYTES)
    with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as archive:
        while member := archive.next():
            if (
                not (member.isdir() or member.type in {tarfile.REGTYPE, tarfile.AREGTYPE})
                or member.issparse()
            ):
                raise ValueError(f"{member.name[:80]} is a link, a device or sparse")
            bounded.left = member.size + TAR_HEAD_BYTES
            yield (
                (member.name, 0, None)
                if member.isdir()
                else (member.name, member.size, partial(_content, archive, member))
            )
            bounded.left = TAR_HEAD_BYTES
            vars(archive).update(members=[], pax_headers={})  # it would keep what a million heads say


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    opened = archive.extractfile(member)
    assert opened is not None, "it is a plain file"
    return opened
