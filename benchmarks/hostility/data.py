"""Hostile data sets and modules: each is read in a child with a limit of time and memory, as a run would read
it.
"""

from __future__ import annotations

import gzip
import multiprocessing
import os
import resource
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.hostility.containers import ARCHIVES
from benchmarks.hostility.files import NO_FILES, Spoil
from modelyard.errors import ModelyardError

PATIENCE_S = 20.0
MEMORY_BYTES = 6 * 2**30
"""Of address space, torch's libraries included."""


@dataclass(frozen=True, slots=True)
class Case:
    """A folder that is spoilt, and what is read of it."""

    name: str
    spoil: Spoil
    read: Spoil


def _pictures(folder: Path, classes: tuple[str, ...] = ("a", "b")) -> None:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(8):
            pixels = np.random.default_rng(index).integers(0, 255, (12, 12), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


def _read_folder(folder: Path, name: str = ".") -> None:
    from modelyard.data.options import FolderOptions
    from modelyard.inspection.contact_sheet import draw_contact_sheet
    from modelyard.sources.sources import load_dataset

    draw_contact_sheet(load_dataset(str(folder / name), FolderOptions(max_bytes=2**30)), folder / "sheet.png")


def _read_idx(folder: Path) -> None:
    from modelyard.sources.idx import read_idx

    packed = folder / "data-idx3-ubyte.gz"
    read_idx(packed if packed.exists() else folder / "data-idx3-ubyte", num_axes=3, digest=None)


def _read_module(folder: Path) -> None:
    from modelyard.recipes.named import make_recipe

    make_recipe(f"{folder}/net.py:Net", "smoke")


def _file(name: str, make: Spoil, folder: Path) -> None:
    make(folder / name)


def _with(name: str, make: Spoil) -> Spoil:
    def spoil(folder: Path) -> None:
        _pictures(folder)
        make(folder / name)

    return spoil


def _idx(kind: int, extents: tuple[int, ...], content: bytes = b"") -> Spoil:
    head = struct.pack(">HBB", 0, kind, len(extents)) + b"".join(
        struct.pack(">I", extent) for extent in extents
    )
    return lambda folder: (folder / "data-idx3-ubyte").write_bytes(head + content)


def _idx_bomb(folder: Path) -> None:
    with gzip.open(folder / "data-idx3-ubyte.gz", "wb", 9) as stream:
        stream.write(struct.pack(">HBBIII", 0, 8, 3, 10, 28, 28))
        for _ in range(400):
            stream.write(bytes(10_000_000))


NAMES = (
    "a\nb", "\x1b[31mred", "\x1b]0;own\x07", "<img src=x "
"onerror=alert(1)>", "[x](javascript:alert(1)", "a|b", "$x_{",
    "\u202eabc", "x" * 250, "CON", "[red]", "`id`", "{{ env }}", "..up", "a b\u200b", "a\rb",
)  # fmt: skip
EXTENTS = ((2**31, 2**31, 4), (0, 28, 28), (10, 0, 0), (10,), (2**32 - 1,) * 3, (1,) * 255)


def cases() -> Iterator[Case]:
    """All of them."""
    for what, make in NO_FILES.items():
        yield Case(f"a picture: {what}", _with("a/x.png", make), _read_folder)
        yield Case(f"an IDX file: {what}", partial(_file, "data-idx3-ubyte", make), _read_idx)
        yield Case(f"an own module: {what}", partial(_file, "net.py", make), _read_module)
    for what, make in ARCHIVES.items():
        name = what.partition(":")[0]
        yield Case(what, partial(_file, name, make), partial(_read_folder, name=name))
    for name in NAMES:
        yield Case(f"a class named {name!r}", partial(_pictures, classes=(name, "b")), _read_folder)
    for extents in EXTENTS:
        yield Case(f"IDX of {extents[:3]}", _idx(8, extents, bytes(100)), _read_idx)
    yield Case("IDX of an unknown kind", _idx(0x77, (1, 2, 3), bytes(6)), _read_idx)
    yield Case("IDX.gz of 4 GB", _idx_bomb, _read_idx)
    yield Case(
        "a tower of folders", _with("a/" + "d/" * 200, lambda path: path.mkdir(parents=True)), _read_folder
    )
    yield Case("a loop of folders", _with("a/loop", lambda path: path.symlink_to("..")), _read_folder)


def outcome(case: Case, folder: Path) -> str:
    """Empty when it was read, or refused in one line; else what happened."""
    folder.mkdir(parents=True)
    try:
        case.spoil(folder)
    except OSError as error:
        return "" if error.errno else str(error)  # this file system does not take it
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=_try, args=(case, folder, results))
    child.start()
    child.join(PATIENCE_S)
    if child.is_alive():
        child.kill()
        child.join()
        return f"no end in {PATIENCE_S:.0f} s"
    return str(results.get()) if not results.empty() else f"ended with {child.exitcode}"


def _try(case: Case, folder: Path, results: SimpleQueue[str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.environ["MODELYARD_CACHE"] = str(folder.parent / "cache")
    try:
        case.read(folder)
    except ModelyardError as error:
        text = str(error)
        printable = text.isprintable() and len(text) < 1500
        results.put("" if printable else f"a message that is no line: {text[:200]!r}")
    except BaseException as error:
        results.put(f"{type(error).__name__}: {error}"[:300])
    else:
        results.put("")
