"""What a person sees while a run works."""

from __future__ import annotations

import logging
import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from modelyard.terminal.echo import console
from modelyard.terminal.printable import printable

logger = logging.getLogger("modelyard")
LINE_SECONDS = 5.0
"""How often long work is told of where there is no terminal."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one epoch came to; losses are mean cross-entropies in nats."""

    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    seconds_left: float
    """Of the training, from the steps of this epoch and those to come."""
    calibrated_loss: float
    """The validation loss at the temperature that suits it best: what a calibrated model will have.
    Or what else an objective minimises."""
    more: dict[str, float] = field(default_factory=dict)
    """What an objective tells besides, by the name of its curve."""


class RunProgress(Protocol):
    """Told of each step and epoch."""

    def say(self, text: str) -> None:
        """Something that a person should know."""

    def step(self, label: str, step: str, *, done: bool) -> None:
        """A step begins, or is found done already."""

    def epoch(self, label: str, report: EpochReport, accuracy: str = "validation") -> None:
        """An epoch of training has ended; `accuracy`: what that of the report is."""

    def work(self, what: str, done: int, total: int) -> None:
        """So much of something long is done."""


class SilentProgress:
    """Says nothing: for scripts and tests."""

    def say(self, text: str) -> None:
        return

    def step(self, label: str, step: str, *, done: bool) -> None:
        return

    def epoch(self, label: str, report: EpochReport, accuracy: str = "validation") -> None:
        return

    def work(self, what: str, done: int, total: int) -> None:
        return


current_progress: ContextVar[RunProgress] = ContextVar("progress", default=SilentProgress())  # noqa: B039 - it has no state
"""Who is told. Not a flow parameter: those are JSON, for schedules and Prefect's form."""


class ConsoleProgress:
    """A bar with the time left on a terminal, plain lines in a log; all on stderr."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[left]:.0f} s left"),
        )
        self._bars = Progress(*columns, console=self._console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._works: dict[str, tuple[float, int, float]] = {}
        """What -> when it began, how much was done then, when it was last told."""
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> ConsoleProgress:
        if self._is_terminal:
            self._bars.start()
        self._token = current_progress.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        current_progress.reset(self._token)
        if self._is_terminal:
            self._bars.stop()

    def say(self, text: str) -> None:
        logger.info(text)
        self._console.print(text, soft_wrap=True)

    def step(self, label: str, step: str, *, done: bool) -> None:
        self.say(f"{label:>12}  {step}{': done before, skipped' if done else ' ...'}")

    def epoch(self, label: str, report: EpochReport, accuracy: str = "validation") -> None:
        text = (
            f"epoch {report.epoch}/{report.epochs}  loss {report.train_loss:.4f}  {accuracy} "
            f"{report.validation_accuracy:.2%}"
        )
        logger.info("%s %s", label, text)
        left = report.seconds_left
        if not self._is_terminal:
            self._console.print(
                f"{label:>12}  {text}  {report.seconds:.1f} s, {left:.0f} s left", soft_wrap=True
            )
            return
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(printable(label), total=report.epochs)
        self._bars.update(
            self._tasks[label],
            description=printable(f"{label:>12}  {text}"),
            completed=report.epoch,
            left=left,
        )
        if report.epoch == report.epochs:
            self._bars.remove_task(self._tasks.pop(label))
            self._console.print(f"{label:>12}  {text}")

    def work(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        since, first, told = self._works.setdefault(what, (now, done, now))
        left = (now - since) / max(1, done - first) * (total - done)
        if self._is_terminal:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(printable(what), total=total or None, left=left)
            self._bars.update(self._tasks[what], completed=done, left=left)
            if done >= total:
                self._bars.remove_task(self._tasks.pop(what))
        elif now - told >= LINE_SECONDS:
            self._console.print(f"{what}  {done}/{total}, {left:.0f} s left", soft_wrap=True)
            self._works[what] = (since, first, now)
