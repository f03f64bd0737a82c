"""Doing the steps of a build that are not done."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from modelyard.files import folder_written_whole, parse_json, sha256_of_file
from modelyard.home import Home
from modelyard.machine.devices import device_slots
from modelyard.machine.how import How
from modelyard.progress import current_progress
from modelyard.seals import STEP_FILE, is_sealed, seal
from modelyard.steps.ahead import import_ahead
from modelyard.steps.step import Node
from modelyard.training.precision import resolve_device


def is_done(node: Node, home: Home) -> bool:
    """Whether its folder is there, unaltered, and made from the parents that are there.

    One that is not is removed, so that its step is done again; a parent that is gone undoes nothing.
    """
    folder = node.folder(home)
    if folder.exists() and (fault := _fault(folder, home)):
        current_progress.get().say(f"NOTE: {folder} {fault}; the step is done again")
        shutil.rmtree(folder) if folder.is_dir() and not folder.is_symlink() else folder.unlink()
    return folder.exists()


def _fault(folder: Path, home: Home) -> str:
    """Why a step's folder does not count; empty where it does."""
    altered = "was altered since it was made"
    if not (folder / STEP_FILE).is_file() or not is_sealed(folder):
        return altered
    made_from = parse_json((folder / STEP_FILE).read_bytes()).get("parents")
    if not isinstance(made_from, dict):
        return altered
    there = {name: seal_of(home.steps / name) for name in made_from}
    other = next((name for name, seal in there.items() if seal and seal != made_from[name]), "")
    return other and f"was made from another {other} than the one that is there"


def needed(nodes: Sequence[Node], home: Home) -> list[Node]:
    """Those from which no other is made, and what they need, in order, asked from the last to the first: what
    is done needs nothing before it, so that a bundle that is there asks for no training. Some may be done."""
    names = {node.name for node in nodes} - {parent.name for node in nodes for parent in node.parents}
    for node in reversed(nodes):
        if node.name in names and node.step.body and not is_done(node, home):
            names |= {parent.name for parent in node.parents}
    return [node for node in nodes if node.name in names]


def waiting(nodes: Sequence[Node], home: Home) -> list[Node]:
    """Those that have to be done, in order."""
    return [node for node in needed(nodes, home) if node.step.body and not is_done(node, home)]


def run_step(node: Node, how: How) -> Path:
    """Do one step, unless it is done; gives its folder, which is whole or not there."""
    home, folder = how.home, node.folder(how.home)
    if is_done(node, home):
        return folder
    how = replace(how, checkpoint=str(checkpoint_of(node, home)), code=node.code)
    given = {parent.step.name: parent.folder(home) for parent in node.parents}
    with _turn(node, how):
        if not is_done(node, home):  # another process may have done it meanwhile
            body, seals = importlib.import_module(node.step.body), _seals(given)
            with folder_written_whole(folder) as scratch:
                done = body.run(node.slice, given, scratch, how)
                seal(scratch, node.record() | done | {"parents": seals})
    checkpoint_of(node, home).unlink(missing_ok=True)
    return folder


def checkpoint_of(node: Node, home: Home) -> Path:
    """What an interrupted training goes on from."""
    return home.checkpoints / f"{node.name}.safetensors"


def seal_of(folder: Path) -> str | None:
    """What tells a step's result from another of the same key; None where there is none."""
    return sha256_of_file(folder / STEP_FILE) if (folder / STEP_FILE).is_file() else None


def _seals(given: dict[str, Path]) -> dict[str, str | None]:
    return {folder.name: seal_of(folder) for folder in given.values()}


@contextmanager
def _turn(node: Node, how: How) -> Iterator[None]:
    """Hold the device, where the step wants it for itself."""
    if not node.step.is_exclusive:
        yield
        return
    with device_slots(how.home, str(resolve_device(how.device)), how.cores):
        if not how.in_process:
            import_ahead()
        yield
