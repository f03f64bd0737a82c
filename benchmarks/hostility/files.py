"""Hostile releases, as a server meets them: a whole bundle, spoilt in one way."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests.serving.bundles import Linear, reseal, write_bundle

Arrays = dict[str, np.ndarray[Any, Any]]
Spoil = Callable[[Path], object]


@dataclass(frozen=True, slots=True)
class Situation:
    """A release and its alias, spoilt."""

    name: str
    spoil: Spoil
    """Takes the folder of the model; its whole bundle is in `1`."""
    may_serve: bool = False


def install(folder: Path, situation: Situation) -> None:
    """The model's folder as the situation leaves it."""
    write_bundle(folder / "1", Linear.seeded(1), model_name=folder.name)
    (folder / "champion.alias").write_text("1\n")
    situation.spoil(folder)


def _in_place(name: str, make: Spoil) -> Spoil:
    """The file is replaced by what `make` puts there."""

    def spoil(folder: Path) -> None:
        path = folder / name
        path.unlink(missing_ok=True)
        make(path)

    return spoil


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(20 * 2**30)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # its whole path may be too long for the kernel
        one.bind(path.name)
        os.chdir(here)


NO_FILES: dict[str, Spoil] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(os.urandom(3000)),
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": _socket,
    "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "20 GB of nothing": _sparse,
    "unreadable text": lambda path: path.write_bytes(b"\xff\xfe\x00{"),
    "deep": lambda path: path.write_text("[" * 200_000),
    "a null": lambda path: path.write_text("null"),
    "a list of 500,000": lambda path: path.write_text("[" + "0," * 500_000 + "0]"),
    "NUL bytes": lambda path: path.write_bytes(bytes(1000)),
}
"""What may stand where a file should be."""
UNREADABLE = {"a FIFO", "a folder", "a socket", "/dev/zero", "a link to itself", "20 GB of nothing"}
"""A ledger without a head that holds other text knows no version: what it does not know is served, with a
line.
"""
VALUES: dict[str, Any] = {
    "null": None,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "-1": -1,
    "a text": "x" * 100_000,
    "true": True,
    "a list": [[]],
    "an object": {"a": {"b": None}},
    "2^70": 2**70,
    "escapes": "\x1b[31m\n\x00",
}
FIELDS = (
    "schema_version",
    "model_name",
    "architecture",
    "classes",
    "signature",
    "temperature",
    "metrics",
    "files",
)


def _manifest(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """The manifest after `change`, not sealed anew: its own digest is in the ledger alone."""

    def spoil(folder: Path) -> None:
        path = folder / "1" / "manifest.json"
        told = json.loads(path.read_text())
        change(told)
        path.write_text(json.dumps(told))

    return spoil


def _set(field: str, value: object, told: dict[str, Any]) -> None:
    told[field] = value


def _drop(field: str, told: dict[str, Any]) -> None:
    del told[field]


def _external(folder: Path) -> None:
    onnx.save(
        Linear.seeded(1).graph(),
        folder / "1" / "model.onnx",
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    reseal(folder / "1")


def _stray(folder: Path) -> None:
    (folder / "1" / "weights.bin").write_bytes(b"not listed")


def _exchanged(folder: Path) -> None:
    """M5 with a ledger that knows better."""
    other = write_bundle(folder / "2", Linear.seeded(2), model_name=folder.name)
    entry = {"alias": "champion", "from": None, "to": 1, "action": "promote", "onnx_sha256": "0" * 64}
    (folder / "ledger.jsonl").write_text(json.dumps(entry) + "\n")
    shutil.copyfile(other / "model.onnx", folder / "1" / "model.onnx")
    reseal(folder / "1")


def _alias(content: bytes) -> Spoil:
    return lambda folder: (folder / "champion.alias").write_bytes(content)


ALIASES = {
    "5,000 digits": b"1" * 5000,
    "nothing": b"",
    "-1": b"-1",
    "a path": b"../../etc",
    "another digit": "١".encode(),
    "a megabyte": b"1" * 2**20,
    "NUL": b"1\0",
    "two lines": b"1\n2\n",
    "a version that is not there": b"99",
}


def situations() -> Iterator[Situation]:
    """All of them."""
    for name in ("1/manifest.json", "1/model.onnx", "1/golden.npz", "champion.alias", "ledger.jsonl"):
        for what, make in NO_FILES.items():
            harmless = name == "ledger.jsonl" and what not in UNREADABLE
            yield Situation(
                f"{name}: {what}", _in_place(name, make), may_serve=harmless or name == "champion.alias"
            )
    for field in FIELDS:
        for what, value in VALUES.items():
            fits = (field, what) == ("temperature", "2^70")
            yield Situation(
                f"manifest {field}: {what}", _manifest(partial(_set, field, value)), may_serve=fits
            )
    for field in FIELDS:
        yield Situation(f"manifest without {field}", _manifest(partial(_drop, field)))
    yield Situation(
        "manifest with 1,500 unknown fields",
        _manifest(lambda told: told.update({f"unknown {n}": n for n in range(1500)})),
    )
    for what, content in ALIASES.items():
        yield Situation(f"alias: {what}", _alias(content), may_serve=what == "two lines")
    yield Situation("a file that the manifest does not list", _stray)
    yield Situation("external data", _external)
    yield Situation("another model than the ledger's", _exchanged)
