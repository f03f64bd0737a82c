"""The worker processes: starting, watching and replacing them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from modelyard.serving.http.places import Shared
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes.channel import Channel
from modelyard.serving.processes.events import log_event
from modelyard.serving.processes.metrics import BEAT, own

SILENT_S = 2.0
"""A worker whose event loop has been blocked for so long gets no connections until it runs again; it gives a
sign of life each second.
"""
START_S = 60.0
"""How long a worker may be blocked before it is ready, at least."""
PAUSE_S = 0.25
"""Seconds until the next start of a worker that died before it was ready or could not be forked."""


@dataclass(slots=True, eq=False)
class Child:
    """A worker process from its fork until it is reaped, so that the process id cannot be that of another
    one.
    """

    pid: int
    index: int
    channel: Channel
    beat: int
    """The worker's own count of seconds, as last seen in the shared memory."""
    heard: float
    """When that count last changed, by the supervisor's clock."""
    ready: bool = False
    doomed: bool = False
    """Whether it was killed, or has ended."""

    def tell(self, *message: str) -> None:
        """Send a message; a worker that does not take it is killed, as it would know less than the others."""
        try:
            self.channel.send(*message)
        except OSError as error:
            self.end(f"it takes no message: {error}")

    def end(self, reason: str = "") -> None:
        """Kill it; SIGCHLD reports when it is gone."""
        if self.doomed:
            return
        self.doomed = True
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if reason:
            log_event("worker ended", {"worker": self.index, "child": self.pid, "reason": reason})


class Crew:
    """For each worker that there should be: the process, or the time when it will be started."""

    def __init__(self, options: ServeOptions, shared: Shared, live: Callable[[int, Channel], int]) -> None:
        """`live` is what a worker does, from its index and its channel to its exit code."""
        self.children: dict[int, Child] = {}
        self._hang_s = options.hang_s
        self._workers = options.workers
        self._shared = shared
        self._live = live
        self._starts = [(0.0, index) for index in range(options.processes)]
        """Index of a worker -> when to start it."""
        self._is_ending = False
        self._watched = time.monotonic()

    @property
    def is_gone(self) -> bool:
        return not self.children and not self._starts

    @property
    def is_ready(self) -> bool:
        return not self._starts and all(child.ready for child in self.children.values())

    def start(self, now: float) -> Iterator[Child]:
        """Start the workers that are due, or later when the machine refuses."""
        for start in [start for start in self._starts if start[0] <= now]:
            self._starts.remove(start)
            try:
                yield self._fork(start[1], now)
            except (OSError, MemoryError) as error:
                log_event("worker failed", {"worker": start[1], "reason": f"no new process: {error!r}"})
                self._starts.append((now + PAUSE_S, start[1]))

    def _fork(self, index: int, now: float) -> Child:
        ours, theirs = Channel.pair()  # closed by themselves when the fork is refused
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ours.close()
                for child in self.children.values():
                    child.channel.close()
                code = self._live(index, theirs)
            finally:
                os._exit(code)
        theirs.close()
        self.children[pid] = child = Child(pid, index, ours, own(self._shared.counters, index)[BEAT], now)
        return child

    def watch(self, now: float) -> list[Child]:
        """Kill workers that are blocked; gives the ready ones that run. Nobody is killed for a time in which
        this process itself was stopped.
        """
        gap, self._watched = now - self._watched, now
        takers = []
        for child in self.children.values():
            child.heard += gap if gap > 1 else 0.0
            if (beat := own(self._shared.counters, child.index)[BEAT]) != child.beat:
                child.beat, child.heard = beat, now
            silent = now - child.heard
            if silent > (self._hang_s if child.ready else max(START_S, self._hang_s)):
                child.end(f"its event loop stood still for {silent:.1f} s (--hang-s)")
            elif child.ready and not child.doomed and silent < SILENT_S and child.index < self._workers:
                takers.append(child)
        return takers

    def reap(self, now: float) -> Iterator[tuple[Child, int]]:
        """The processes that have ended, with their exit codes; their successors start at once, or later if
        they had not become ready.
        """
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                child = self.children.pop(ended[0], None)
                if child is None:  # not ours: whoever became this process had started it
                    continue
                self._shared.places.clear(child.index)
                child.doomed = True  # its process id may be another's by now
                if not self._is_ending:
                    self._starts.append((now if child.ready else now + PAUSE_S, child.index))
                yield child, os.waitstatus_to_exitcode(ended[1])

    def end(self, *, patiently: bool = False) -> None:
        """Start no more and kill all; patiently: the ready ones finish their requests first."""
        self._is_ending = True
        self._starts.clear()
        for child in self.children.values():
            child.tell("drain") if patiently and child.ready else child.end()
