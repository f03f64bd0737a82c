"""One part of the script: a process group of its own with a time limit; what it noted before its
end is kept.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

FORK = multiprocessing.get_context("fork")
"""Importing torch takes seconds: it is done once, before any part. CUDA is first touched in the parts."""
TAIL, LOG_TAIL = 15, 60
"""Lines that are kept of a failure, and of all that a part printed: its processes fail there, too."""
LEAST_SECONDS = 6.0
"""A part that would have less is dropped."""
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a part may use: a folder of all parts and the packed data set."""

    scratch: Path
    data: Path
    device: str
    """`cuda`, or `cpu` in a dry run."""
    notes: Path
    ends: float
    """When the part will be killed, by time.monotonic()."""

    @property
    def is_dry(self) -> bool:
        """Whether sizes are tiny and nothing measured means anything."""
        return self.device == "cpu"

    @property
    def seconds_left(self) -> float:
        """Of this part."""
        return self.ends - time.monotonic()

    @property
    def architectures(self) -> tuple[str, ...]:
        """Of ours, the one of which most is asked first; in a dry run it alone."""
        return ("cnn",) if self.is_dry else ("cnn", "transformer", "rnn")

    def note(self, what: str, **values: object) -> None:
        """Keep something found, at once."""
        with self.notes.open("a") as stream:
            stream.write(json.dumps({"what": what, **values}, default=str) + "\n")

    @contextmanager
    def case(self, what: str) -> Iterator[None]:
        """What fails inside is noted, and the part goes on."""
        try:
            yield
        except Exception as error:
            told = (str(error).strip() or "no reason given").splitlines()[0][:300]
            lines = "".join(traceback.format_exception(error)).splitlines()
            self.note(what, failed=f"{type(error).__name__}: {told}", tail=lines[-TAIL:])


@dataclass(frozen=True, slots=True)
class Part:
    """A name, what is done, and how many seconds it may take."""

    name: str
    work: str
    """`module:function`, imported by the part's own process: one whose package is missing takes no other with
    it.
    """
    limit: float
    given: tuple[str, ...] = ()
    """What `function` takes beside the bench."""


@dataclass(slots=True)
class Outcome:
    """What came of a part."""

    name: str
    state: str
    """`ok`, `failed`, `cut off` (its time was up) or `dropped` (that of the whole script was)."""
    seconds: float = 0.0
    notes: list[Values] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)
    """The last lines that it printed: warnings, or a failure's trace."""


def run_part(part: Part, bench: Bench, say: Callable[[str], None]) -> Outcome:
    """Run it in a process group of its own, which is gone when this returns."""
    log, began = bench.notes.with_suffix(".log"), time.monotonic()
    bench.notes.touch()
    process = FORK.Process(target=_in_group, args=(part, bench, log))
    process.start()
    told, is_late = 0, False
    try:
        while process.is_alive() and not is_late:
            process.join(0.1)
            told = _tell_new(bench, told, say)
            is_late = time.monotonic() > bench.ends
    finally:
        end_group(process)
    _tell_new(bench, told, say)
    notes = read_notes(bench.notes)
    tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL:] if log.exists() else []
    failed = process.exitcode != 0 or any("failed" in note for note in notes)
    state = "cut off" if is_late else "failed" if failed else "ok"
    return Outcome(part.name, state, round(time.monotonic() - began, 1), notes, tail)


def end_group(process: BaseProcess) -> None:
    """Kill a process that called `os.setsid`, with all it started; wait for it."""
    if process.pid is not None:
        for kill in (os.killpg, os.kill):  # the group is not there yet if it was only just started
            with suppress(ProcessLookupError, PermissionError):
                kill(process.pid, signal.SIGKILL)
    process.join(10)  # one that waits for a hung driver does not even die


def _tell_new(bench: Bench, told: int, say: Callable[[str], None]) -> int:
    notes = read_notes(bench.notes)
    for note in notes[told:]:
        say("  " + in_words(note)[:230])
    return len(notes)


def read_notes(path: Path) -> list[Values]:
    """All that are written whole."""
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def in_words(note: Values) -> str:
    """`what: key value, key value`."""
    shown = {key: value for key, value in note.items() if key not in ("what", "tail")}
    return f"{note['what']}: " + ", ".join(
        f"{key.replace('_', ' ')} {_short(value)}" for key, value in shown.items()
    )


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(_short, value)) if isinstance(value, list) else str(value)


def _in_group(part: Part, bench: Bench, log: Path) -> None:
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    module, _, function = part.work.partition(":")
    try:
        work: Callable[..., None] = getattr(importlib.import_module(module), function)
    except ImportError as error:
        bench.note(part.name, failed=f"lacks a package here: {error}")
        return
    if bench.is_dry:
        torch.set_num_threads(1)
        os.environ["OMP_NUM_THREADS"] = "1"
    work(bench, *part.given)


def apart(work: Callable[[], None], variables: dict[str, str] | None = None) -> BaseProcess:
    """Start `work` in a process of its own; this one must have used neither CUDA nor several threads of
    torch.

    Threads are not forked, and a fork would wait for them forever.
    """
    process = FORK.Process(target=_with_variables, args=(work, variables or {}))
    process.start()
    return process


def _with_variables(work: Callable[[], None], variables: dict[str, str]) -> None:
    faulthandler.register(signal.SIGUSR1)
    os.environ |= variables
    work()


def ended(process: BaseProcess, within: float = 60.0) -> None:
    """Wait. Raises: RuntimeError when it failed, or is killed after `within` seconds."""
    process.join(within)
    if process.is_alive():
        if process.pid is not None:
            os.kill(process.pid, signal.SIGUSR1)  # tells the log where it hangs
        process.join(0.5)
        process.kill()
        process.join(5)
        raise RuntimeError(f"a process of this part was not done after {within:g} s; see the log's tail")
    if process.exitcode:
        raise RuntimeError(f"a process of this part ended with code {process.exitcode}; see the log's tail")
