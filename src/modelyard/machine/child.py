"""A step's body in a process group of its own, which ends with this process whatever happens."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from modelyard.errors import ModelyardError, TrainingError, TrainingKilledError
from modelyard.machine.bound import bound_environment

OnLine = Callable[[dict[str, Any]], None]


class Child:
    """`python -m MODULE STEPS`: imports what it needs, then works on the folder of STEPS that stdin names.

    It tells a JSON object a line; one with `error` is why it failed.
    """

    def __init__(self, module: str, steps: Path, environment: dict[str, str]) -> None:
        self._module = module
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `end` closes it
        command = [sys.executable, "-P", "-m", module, str(steps)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, text=True, start_new_session=True, env=bound_environment() | environment,
        )  # fmt: skip

    @property
    def lives(self) -> bool:
        """Whether it can still be told a folder."""
        return self._process.poll() is None

    def work(self, out: Path, on_line: OnLine) -> None:
        """Raises: TrainingError; TrainingKilledError when it was killed; ModelyardError for a wrong input."""
        try:
            with suppress(BrokenPipeError):  # it was killed meanwhile: its code tells
                print(out, file=self._process.stdin, flush=True)
            expected = ""
            for line in self._process.stdout or ():
                answer = json.loads(line) if line.startswith("{") else {}
                if "error" in answer:
                    expected = answer["error"]
                elif answer:
                    on_line(answer)
            code = self._process.wait()
        finally:
            messages = self.end()
        if messages:
            logging.getLogger(__name__).info("stderr of %s:\n%s", self._module, "\n".join(messages))
        if code:
            last = messages[-1] if messages else f"training ended with code {code} (out of memory?)"
            raise _kind(code)(expected or last)

    def end(self) -> list[str]:
        """Kill it, if it lives; gives the lines that it wrote to stderr."""
        if self.lives:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        with self._errors as errors:
            errors.seek(0)
            return errors.read().strip().splitlines()


class Spares:
    """Children to come: one imports while this process does other work, so that its turn begins at once."""

    def __init__(self, wanted: int, start: Callable[[], Child]) -> None:
        self._wanted, self._start = wanted, start
        self._next: Child | None = None

    def start(self) -> None:
        """Start the next, if one is wanted."""
        if self._wanted > 0 and self._next is None:
            self._wanted -= 1
            self._next = self._start()

    def take(self) -> Child | None:
        """The one that was started, if it lives."""
        taken, self._next = self._next, None
        if taken is None or taken.lives:
            return taken
        taken.end()
        return None

    def end(self) -> None:
        """No more are wanted."""
        self._wanted = 0
        if self._next is not None:
            self._next.end()


_spares: ContextVar[Spares | None] = ContextVar("spares", default=None)


@contextmanager
def children_to_come(wanted: int, start: Callable[[], Child]) -> Iterator[None]:
    """Within, so many children of `run_in_child` are started ahead, one after the other."""
    spares = Spares(wanted, start)
    token = _spares.set(spares)
    try:
        spares.start()
        yield
    finally:
        _spares.reset(token)
        spares.end()


def run_in_child(start: Callable[[], Child], out: Path, on_line: OnLine) -> None:
    """Have a child work on the folder `out`: the one that was started ahead, or a new one. Raises: as
    `Child.work`.
    """
    spares = _spares.get()
    child = spares.take() if spares is not None else None
    (child or start()).work(out, on_line)
    if spares is not None:
        spares.start()


def _kind(code: int) -> type[ModelyardError]:
    if code == ModelyardError.exit_code:
        return ModelyardError
    return TrainingKilledError if code < 0 else TrainingError
