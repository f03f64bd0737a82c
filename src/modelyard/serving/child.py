"""A worker process as its parent sees it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass

from modelyard.serving.channel import Channel
from modelyard.serving.events import log_event


@dataclass(slots=True, eq=False)
class Child:
    """From its fork until it is reaped, so its process id is its own."""

    pid: int
    index: int
    channel: Channel
    beat: int
    """Its own count of seconds, as last seen in the shared memory."""
    heard: float
    """When that last changed, by the supervisor's clock."""
    ready: bool = False
    doomed: bool = False
    """Killed."""

    def silent(self, now: float, beat: int) -> float:
        """For how many seconds its count has been the same."""
        if beat != self.beat:
            self.beat, self.heard = beat, now
        return now - self.heard

    def tell(self, *message: str) -> None:
        """Send; a worker that does not take it is ended, as it would know less than the others."""
        try:
            self.channel.send(*message)
        except OSError as error:
            self.end(f"it takes no message: {error}")

    def end(self, reason: str = "") -> None:
        """Kill it; SIGCHLD tells when it is gone."""
        if self.doomed:
            return
        self.doomed = True
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        if reason:
            log_event("worker ended", {"worker": self.index, "child": self.pid, "reason": reason})
