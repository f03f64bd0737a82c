"""Hostile archives and tables: each a file that is written at a path."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.hostility.files import NO_FILES, Spoil

GIGABYTES = 2


def _zip(path: Path, names: tuple[str, ...] = ("a/0.png",), mode: int = 0o100644, size: int = 100) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, bytes(size))


def _zip_patched(path: Path, offset: int, value: int) -> None:
    """A field of the first entry of the directory."""
    _zip(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + offset
    content[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(content)


def _zip_of_heads(path: Path) -> None:
    """Nothing but a directory of 3,000,000 entries that overlap."""
    entry = (
        struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
        + b"x"
    )
    count = 3_000_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entry) * count, 0, 0)
    path.write_bytes(entry * count + end)


def _tar(
    path: Path, make: Callable[[], Iterator[bytes]], opened: Callable[..., io.BufferedIOBase] = gzip.open
) -> None:
    with opened(path, "wb") as stream:
        for block in make():
            stream.write(block)


def _member(name: str, size: int, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.GNU_FORMAT)


def _zeros(kind: bytes = tarfile.REGTYPE) -> Iterator[bytes]:
    yield _member("a/0.png", GIGABYTES * 2**30, kind)
    for _ in range(GIGABYTES * 64):
        yield bytes(2**24)


def _records(kind: bytes, count: int) -> Iterator[bytes]:
    """Heads before heads."""
    for index in range(count):
        record = f"key{index:09}={'x' * 900_000}\n"
        content = f"{len(record) + 8:07} {record}".encode()
        yield _member("x", len(content), kind) + content + bytes(-len(content) % 512)


def _sparse_map(path: Path) -> None:
    """GNU's sparse map of 10^12 parts."""
    head = b"".join(
        f"{len(text) + 3} {text}\n".encode()
        for text in ("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=a", "GNU.sparse.realsize=9")
    )
    content = f"{10**12}\n".encode() + b"1\n" * 50_000_000
    blocks = [
        _member("x", len(head), tarfile.XHDTYPE),
        head + bytes(-len(head) % 512),
        _member("a", len(content)),
        content,
    ]
    _tar(path, lambda: iter(blocks))


def _lines(path: Path, line: str, count: int) -> None:
    with path.open("w") as stream:
        for _ in range(count):
            stream.write(line)


ARCHIVES: dict[str, Spoil] = {
    "x.zip: a path outside": partial(_zip, names=("../../x.png",)),
    "x.zip: a link": partial(_zip, mode=0o120777),
    "x.zip: a device": partial(_zip, mode=0o020644),
    "x.zip: a file that is a folder, too": partial(_zip, names=("a", "a/0.png")),
    "x.zip: a name of 60,000": partial(_zip, names=("a/" + "x" * 60_000,)),
    "x.zip: a tower": partial(_zip, names=("a/" * 2000 + "x.png",)),
    "x.zip: odd names": partial(_zip, names=("a/\x1b[31m\n.png", "a/\u202e.png", " /0.png", "./././0.png")),
    "x.zip: 4 GB said": partial(_zip_patched, offset=24, value=2**32 - 2),
    "x.zip: less said than is in it": partial(_zip_patched, offset=24, value=7),
    "x.zip: encrypted": partial(_zip_patched, offset=8, value=1),
    "x.zip: an offset beyond": partial(_zip_patched, offset=42, value=2**31),
    "x.zip: heads only": _zip_of_heads,
    "x.tar.gz: 2 GB": partial(_tar, make=_zeros),
    "x.tar.bz2: 30 files of one name": partial(
        _tar, make=partial(_records, tarfile.REGTYPE, 30), opened=bz2.open
    ),
    "x.tar.xz: heads before heads": partial(
        _tar, make=partial(_records, tarfile.GNUTYPE_LONGNAME, 30), opened=lzma.open
    ),
    "x.tar.gz: a name of 2 GB": partial(_tar, make=partial(_zeros, tarfile.GNUTYPE_LONGNAME)),
    "x.tar.gz: a pax head of 2 GB": partial(_tar, make=partial(_zeros, tarfile.XHDTYPE)),
    "x.tar.gz: 500 pax heads": partial(_tar, make=partial(_records, tarfile.XGLTYPE, 500)),
    "x.tar.gz: a map of 10^12": _sparse_map,
    "x.tar.gz: a link": partial(
        _tar, make=lambda: iter([_member("a/x.png", 0, tarfile.SYMTYPE, "/etc/passwd")])
    ),
    "x.tar.gz: a path outside": partial(_tar, make=lambda: iter([_member("../x.png", 0)])),
    "x.csv: a line of 400 MB": partial(_lines, line="x" * 1000, count=400_000),
    "x.csv: a quote that never ends": partial(_lines, line='file,label\n"', count=1_000_000),
    "x.csv: 20,000,000 rows": partial(_lines, line="a,b\n", count=20_000_000),
    "x.csv: 400,000 columns": partial(_lines, line="a,", count=400_000),
    "x.jsonl: deep": partial(_lines, line='{"a":' * 50_000 + "\n", count=3),
    "x.jsonl: a number of 400,000 digits": partial(
        _lines, line='{"file_name":' + "9" * 400_000 + "}\n", count=3
    ),
    "x.parquet: a footer of noise": lambda path: path.write_bytes(
        b"PAR1" + os.urandom(3000) + struct.pack("<I", 2990) + b"PAR1"
    ),
    "x.parquet: a footer of 4 GB": lambda path: path.write_bytes(
        b"PAR1" + struct.pack("<I", 2**32 - 1) + b"PAR1"
    ),
    **{
        f"x.{kind}: {what}": make
        for kind in ("zip", "tar.gz", "csv", "jsonl", "parquet")
        for what, make in NO_FILES.items()
    },
}
"""Name of the file and what is wrong with it -> what writes it."""
