"""A step's body in a process group of its own, which ends with this process whatever happens.

Its first process imports; each job is done by a fork of it, so that many cost the imports of one.
"""

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
from modelyard.machine.bound import bind_to_parent, bound_environment

OnLine = Callable[[dict[str, Any]], None]


class Child:
    """`python -m MODULE STEPS`: imports what it needs, then works on each folder of STEPS that stdin names.

    It tells a JSON object a line; one with `error` is why it failed, one with `ended` its exit code. See
    `each_in_a_fork`.
    """

    def __init__(self, module: str, steps: Path, environment: dict[str, str]) -> None:
        self._module = module
        self._errors, self._read = tempfile.TemporaryFile(), 0  # noqa: SIM115 - `end` closes it
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
        """Raises: TrainingError; TrainingKilledError when it was killed; ModelyardError for a wrong input.
        Only where it raises nothing it may be told another folder.
        """
        with suppress(BrokenPipeError):  # it was killed meanwhile: its code tells
            print(out, file=self._process.stdin, flush=True)
        expected, code = "", None
        for line in self._process.stdout or ():
            answer = json.loads(line) if line.startswith("{") else {}
            if "ended" in answer:
                code = int(answer["ended"])
                break
            if "error" in answer:
                expected = answer["error"]
            elif answer:
                on_line(answer)
        code = self._process.wait() if code is None else code
        if messages := self._messages():
            logging.getLogger(__name__).info("stderr of %s:\n%s", self._module, "\n".join(messages))
        if code:
            last = messages[-1] if messages else f"training ended with code {code} (out of memory?)"
            raise _kind(code)(expected or last)

    def _messages(self) -> list[str]:
        """What it wrote to stderr since the last call; the file's place is the child's, and is not moved."""
        told = os.pread(self._errors.fileno(), os.fstat(self._errors.fileno()).st_size, self._read)
        self._read += len(told)
        return told.decode(errors="replace").strip().splitlines()

    def end(self) -> None:
        """Kill it, if it lives."""
        if self.lives:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._errors.close()


def each_in_a_fork(work: Callable[[Path], int]) -> int:
    """In the child: each folder that stdin names, in a process that ends with this one; gives the last exit
    code.

    Before a fork nothing may be computed: threads of OpenMP do not survive it.
    """
    code = 0
    while out := sys.stdin.readline().strip():
        os.environ |= bound_environment()
        if not (worker := os.fork()):
            bind_to_parent(signal.SIGKILL)
            return work(Path(out))
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        sys.stdout.write(json.dumps({"ended": code}) + "\n")
        sys.stdout.flush()
    return code


class Spares:
    """Children to come: one imports while this process does other work, so that its turn begins at once, and
    goes on with the next job."""

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

    def keep(self, child: Child) -> bool:
        """Have it do the next job, if one is wanted."""
        if self._wanted < 1:
            return False
        self._wanted, self._next = self._wanted - 1, child
        return True

    def end(self) -> None:
        """No more are wanted."""
        self._wanted = 0
        if self._next is not None:
            self._next.end()


_spares: ContextVar[Spares | None] = ContextVar("spares", default=None)


@contextmanager
def children_to_come(wanted: int, start: Callable[[], Child]) -> Iterator[None]:
    """Within, a child for so many calls of `run_in_child` is started ahead."""
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
    spares, is_kept = _spares.get(), False
    child = (spares.take() if spares is not None else None) or start()
    try:
        child.work(out, on_line)
        is_kept = spares is not None and spares.keep(child)
    finally:
        if not is_kept:
            child.end()


def _kind(code: int) -> type[ModelyardError]:
    if code == ModelyardError.exit_code:
        return ModelyardError
    return TrainingKilledError if code < 0 else TrainingError
