"""What other processes do to the aliases in the tests: move them at once, and die in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.tracking import MlflowClient

from modelyard.errors import AliasMovedError
from modelyard.home import Home
from modelyard.registry import aliases
from modelyard.registry.aliases import Move, move_alias
from modelyard.registry.heads import registry_head
from modelyard.registry.lineage import lineage
from modelyard.registry.versions import Version
from modelyard.releases import ledger_writer
from modelyard.releases.chain import problems
from modelyard.releases.ledger import read_head, read_ledger


def a_move(model: str, to: int, digest: str = "") -> Move:
    return Move(
        Version(model, to, {"onnx_sha256": digest or str(to)}, (), ""), "champion", f"by {os.getpid()}"
    )


def champion(home: Home, model: str) -> int | None:
    return lineage(read_ledger(home.releases / model).moves).champion


def climb(root: Path, model: str, steps: int) -> None:
    """Raise the champion by one, so many times, each time from what it was seen to be."""
    home = Home(root)
    while steps:
        seen = champion(home, model)
        try:
            move_alias(home, a_move(model, (seen or 0) + 1), expected=seen)
            steps -= 1
        except AliasMovedError:
            continue


def die_after(root: Path, model: str, place: str, to: int) -> None:
    """Move the champion and be killed right after the ledger, the registry or the alias file was written."""
    holder, name = {
        "ledger": (ledger_writer, "append"), "registry": (MlflowClient, "set_registered_model_alias"),
        "file": (aliases, "write_pointer"), "head": (ledger_writer, "write_head"),
    }[place]  # fmt: skip
    original: Callable[..., Any] = getattr(holder, name)

    home = Home(root)

    def fatal(*arguments: Any) -> Any:
        written = original(*arguments)
        if champion(home, model) == to:  # not while an earlier move is completed
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    setattr(holder, name, fatal)
    move_alias(home, a_move(model, to), expected=champion(home, model))


def agreed(home: Home, model: str) -> dict[str, int]:
    """Alias -> version, if ledger, registry, files and both heads all say the same."""
    client, folder = (
        MlflowClient(f"sqlite:///{home.database}", f"sqlite:///{home.database}"),
        home.releases / model,
    )
    found = read_ledger(folder)
    last = {move.alias: move.to for move in found.moves}
    told = {alias: number for alias, number in last.items() if number is not None}
    registered = {alias: int(number) for alias, number in client.get_registered_model(model).aliases.items()}
    files = {path.stem: int(path.read_text()) for path in folder.glob("*.alias")}
    assert told == registered == files
    assert list((read_head(folder) | registry_head(home, model)).values()) == [found.head, found.head]
    assert problems(found, {}) == []
    return told
