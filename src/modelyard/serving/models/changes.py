"""Loads and unloads, which all workers carry out together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from modelyard.serving.processes.crew import Child

MAX_CHANGES = 64
"""The most changes in progress."""


@dataclass(slots=True)
class Change:
    """A load or unload that a worker was asked for."""

    asker: Child
    ticket: str
    order: str
    name: str
    waiting_for: set[int] = field(default_factory=set)
    """Process ids of the workers that have not done it yet."""
    failure: str = ""


class Changes:
    """The changes in progress, and what past ones mean for workers that start later."""

    def __init__(self) -> None:
        self.unloaded: set[str] = set()
        """Unloaded names after the last change that began: a worker that starts meanwhile gets them at its
        start.
        """
        self._pending: dict[str, Change] = {}

    def begin(self, change: Change, children: Collection[Child]) -> None:
        """Send a change to every worker, also to those that are still starting."""
        if len(self._pending) >= MAX_CHANGES:
            change.asker.tell(
                "changed", change.ticket, f"{MAX_CHANGES} loads and unloads are on their way; try again later"
            )
            return
        self._remember(change.order, change.name)
        self._pending[change.ticket] = change
        change.waiting_for.update(child.pid for child in children)
        for child in children:
            child.tell("change", change.ticket, change.order, change.name)

    def end(self, child: Child, ticket: str, failure: str) -> None:
        """One worker has done it, or is gone; when all have, the worker that was asked is told."""
        change = self._pending.get(ticket)
        if change is None:
            return
        change.waiting_for.discard(child.pid)
        change.failure = change.failure or failure
        if change.waiting_for:
            return
        del self._pending[ticket]
        if change.failure and change.order == "unload":
            self._remember("load", change.name)
        change.asker.tell("changed", ticket, change.failure)

    def bury(self, child: Child) -> None:
        """Wait no longer for a worker that is dead."""
        for ticket in list(self._pending):
            self.end(child, ticket, "")

    def _remember(self, order: str, name: str) -> None:
        (self.unloaded.add if order == "unload" else self.unloaded.discard)(name)
