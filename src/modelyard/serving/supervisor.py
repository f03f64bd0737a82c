"""The parent of the workers: small, so that it costs no memory, and never in the way of a request.

It starts a worker anew when one dies, passes loads and unloads on to all, and drains them on SIGTERM.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass

from modelyard.errors import ModelyardError
from modelyard.serving import metrics
from modelyard.serving.channel import Channel
from modelyard.serving.events import log_event
from modelyard.serving.listener import Child, Listener
from modelyard.serving.options import ServeOptions

RESTART_PAUSE_S = 0.5
"""Between two starts of a worker that dies at once."""


@dataclass(slots=True)
class Change:
    """A load or unload that all workers carry out."""

    asker: Child
    order: str
    name: str
    waiting_for: set[int]
    """Process ids."""
    failure: str = ""


class Supervisor:
    """Runs until SIGTERM or SIGINT."""

    def __init__(self, options: ServeOptions) -> None:
        self._options = options
        self._memory = metrics.allocate(options.workers)
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, Child] = {}
        self._changes: dict[str, Change] = {}
        self._unloaded: set[str] = set()
        self._restarts: list[tuple[float, int]] = []
        self._is_open = False
        self._signals = 0
        self._kill_at = 0.0
        """When a stopping server's patience ends; 0 while it is not stopping."""
        self._failure = ""
        self._exit_code = 0
        self._started = time.perf_counter()

    def run(self) -> int:
        """The exit code. Raises: ConfigError when the address cannot be had."""
        self._listener = Listener(self._options, self._memory)
        wake, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._selector.register(wake, selectors.EVENT_READ, wake)
        for index in range(self._options.workers):
            self._fork(index)
        while self._children or self._restarts:
            self._turn()
        return self._exit_code

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._signals += 1

    def _turn(self) -> None:
        """Handle what has come, waiting a fraction of a second at most."""
        for key, _ in self._selector.select(0.2):
            if isinstance(key.data, Child):
                self._listen_to(key.data)
            elif key.fileobj is self._listener:
                self._listener.accept([child for child in self._children.values() if child.ready])
            else:
                key.data.recv(64)
        if self._signals and not self._kill_at:
            self._close()
        if self._kill_at and (self._signals > 1 or time.monotonic() > self._kill_at):
            self._kill_all()
        while self._restarts and self._restarts[0][0] <= time.monotonic():
            self._fork(self._restarts.pop(0)[1])

    def _fork(self, index: int) -> None:
        ours, theirs = Channel.pair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            os._exit(self._live_as_worker(index, theirs))
        theirs.close()
        child = self._children[pid] = Child(pid, index, ours, time.monotonic())
        self._selector.register(ours, selectors.EVENT_READ, child)

    def _live_as_worker(self, index: int, channel: Channel) -> int:
        """The forked process: it lets go of the parent's things and imports what serving needs."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._listener.close()
        for child in self._children.values():
            child.channel.close()
        self._selector.close()
        try:
            from modelyard.serving.worker import run_worker

            run_worker(self._options, channel, index, self._memory, frozenset(self._unloaded))
        except ModelyardError as error:
            channel.send("failed", str(error))
            return error.exit_code
        except BaseException:
            log_event("fault", {"where": "worker", "trace": traceback.format_exc()})
            return 1
        return 0

    def _listen_to(self, child: Child) -> None:
        try:
            message = child.channel.receive()
        except BlockingIOError:
            return
        except OSError:
            message = None
        match message:
            case ["ready", *names]:
                child.ready = True
                if not self._kill_at and not self._is_open and all(other.ready for other in self._children.values()):
                    self._open(names)
            case ["failed", reason]:
                log_event("worker failed", {"worker": child.index, "reason": reason})
                self._failure = reason
            case ["change", ticket, order, name]:
                self._begin_change(child, ticket, order, name)
            case ["done", ticket, failure]:
                self._end_change(child, ticket, failure)
            case None:
                self._bury(child)

    def _open(self, names: list[str]) -> None:
        """All workers are ready: from now on connections are taken."""
        self._is_open = True
        self._listener.open()
        self._selector.register(self._listener, selectors.EVENT_READ)
        url = self._listener.url
        seconds = round(time.perf_counter() - self._started, 3)
        log_event("ready", {"url": url, "models": names, "workers": self._options.workers, "seconds": seconds})
        sys.stdout.write(f"modelyard serves {', '.join(names)} at {url} ({self._options.workers} workers); Ctrl-C stops\n")
        sys.stdout.flush()

    def _begin_change(self, asker: Child, ticket: str, order: str, name: str) -> None:
        """Pass a load or unload on to every worker, also to those that are still starting."""
        self._changes[ticket] = Change(asker, order, name, set(self._children))
        for child in self._children.values():
            with suppress(OSError):
                child.channel.send("change", ticket, order, name)

    def _end_change(self, child: Child, ticket: str, failure: str) -> None:
        """One worker has done it; when all have, tell the one that was asked."""
        change = self._changes[ticket]
        change.waiting_for.discard(child.pid)
        change.failure = change.failure or failure
        if change.waiting_for:
            return
        del self._changes[ticket]
        if not change.failure:
            (self._unloaded.add if change.order == "unload" else self._unloaded.discard)(change.name)
        with suppress(OSError):
            change.asker.channel.send("changed", ticket, change.failure)

    def _bury(self, child: Child) -> None:
        """A worker is gone: start it anew, or end when the server is stopping or never got ready."""
        self._selector.unregister(child.channel)
        child.channel.close()
        del self._children[child.pid]
        _, status = os.waitpid(child.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        for ticket in list(self._changes):
            self._end_change(child, ticket, "")
        if self._kill_at:
            return
        if not self._is_open:
            self._exit_code = code if code > 0 else 1
            sys.stderr.write(f"modelyard: {self._failure or 'a worker ended before it was ready'}\n")
            self._kill_all()
            return
        log_event("worker died", {"worker": child.index, "child": child.pid, "code": code})
        pause = RESTART_PAUSE_S if time.monotonic() - child.started < 2 else 0.0
        self._restarts.append((time.monotonic() + pause, child.index))

    def _close(self) -> None:
        """Take what the kernel has accepted, then nothing more; the workers finish what they have."""
        self._kill_at = time.monotonic() + self._options.drain_s + 5
        self._restarts.clear()
        if not self._is_open:
            self._kill_all()
            return
        ready = [child for child in self._children.values() if child.ready]
        while self._listener.accept(ready):
            pass
        self._selector.unregister(self._listener)
        self._listener.close()
        for child in self._children.values():
            with suppress(OSError):
                child.channel.send("drain")

    def _kill_all(self) -> None:
        self._kill_at = self._kill_at or time.monotonic()
        for child in self._children.values():
            os.kill(child.pid, signal.SIGKILL)
