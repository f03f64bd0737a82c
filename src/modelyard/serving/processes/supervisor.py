"""The parent process of the workers: it owns the memory that they share, and handles no requests.

It replaces a worker that dies or hangs, passes loads and unloads on to all, and drains them on SIGTERM. Once
the server is open only a signal ends it: a worker that misbehaves is replaced, a fault of the supervisor
itself is logged.
"""

from __future__ import annotations

import selectors
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from importlib import import_module

from modelyard.errors import ModelyardError
from modelyard.serving.http.listener import ACCEPTS, BACKLOG, Listener
from modelyard.serving.http.places import Places, Shared, affordable_connections
from modelyard.serving.models.changes import Change, Changes
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes import metrics
from modelyard.serving.processes.channel import Channel, Handed, Message
from modelyard.serving.processes.crew import Child, Crew
from modelyard.serving.processes.events import log_event

TURN_S = 0.2
"""The longest time between two looks at the workers."""
WARM = ("asyncio", "http", "httptools", "numpy", "orjson", "uvloop")
"""Imported before the first fork, which halves the start of a worker. Not onnxruntime, which has threads and
an open database.
"""


class Supervisor:
    """Runs until SIGTERM or SIGINT."""

    def __init__(self, options: ServeOptions) -> None:
        """Raises: ConfigError when there are too few file descriptors."""
        connections = affordable_connections(options.max_connections)
        if connections < options.max_connections:
            log_event(
                "fewer connections",
                {"asked": options.max_connections, "limit": connections, "reason": "ulimit -n"},
            )
        self._options = replace(options, max_connections=connections)
        self._shared = Shared(metrics.allocate(options.processes), Places(options.processes, connections))
        self._crew = Crew(self._options, self._shared, self._live_as_worker)
        self._changes = Changes()
        self._selector = selectors.DefaultSelector()
        self._is_open = self._is_listening = False
        self._signals = 0
        self._kill_at = 0.0
        """When workers that still run are killed while the server stops; 0 while it does not stop."""
        self._names: list[str] = []
        self._failure = ""
        self._exit_code = 0
        self._started = time.perf_counter()

    def run(self) -> int:
        """Serve; gives the exit code. Raises: ConfigError when the address is not available."""
        self._listener = Listener(
            self._options, self._shared.places, metrics.own(self._shared.counters, metrics.PARENT)
        )
        self._options = replace(self._options, grpc_address=self._listener.grpc_address)
        for module in WARM:
            import_module(module)
        wake, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._on_signal)
        self._selector.register(wake, selectors.EVENT_READ, wake)
        while not self._crew.is_gone:
            try:
                self._turn(time.monotonic())
            except ModelyardError:
                raise
            except Exception:
                log_event("fault", {"where": "supervisor", "trace": traceback.format_exc()})
                time.sleep(TURN_S)
        return self._exit_code

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signals += number != signal.SIGCHLD

    def _turn(self, now: float) -> None:
        """Handle the events that have come, waiting a fraction of a second at most."""
        for child in self._crew.start(now):
            self._selector.register(child.channel, selectors.EVENT_READ, child)
        takers = self._crew.watch(now)
        self._listen(bool(takers) and now >= self._listener.rests_until)
        for key, _ in self._selector.select(TURN_S):
            if isinstance(key.data, Child):
                self._listen_to(key.data)
            elif key.fileobj is self._listener:
                self._listener.accept(takers)
            else:
                key.data.recv(4096)
        for child, code in self._crew.reap(now):
            self._bury(child, code)
        if self._crew.is_ready and not self._is_open and not self._kill_at:
            self._open()
        if self._signals and not self._kill_at:
            self._close(takers)
        if self._kill_at and (self._signals > 1 or now > self._kill_at):
            self._crew.end()

    def _listen(self, wanted: bool) -> None:
        """Watch the listening socket, or leave new clients waiting in the kernel."""
        wanted = wanted and self._is_open and not self._kill_at
        if wanted and not self._is_listening:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._is_listening and not wanted:
            self._selector.unregister(self._listener)
        self._is_listening = wanted

    def _live_as_worker(self, index: int, channel: Channel) -> int:
        """The forked process: it closes what belongs to the parent and imports what serving needs."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        self._listener.close()
        self._selector.close()
        try:
            from modelyard.serving.processes.worker import run_worker

            run_worker(self._options, channel, index, self._shared, frozenset(self._changes.unloaded))
        except ModelyardError as error:
            channel.send("failed", str(error))
            return error.exit_code
        except BaseException:
            log_event("fault", {"where": "worker", "trace": traceback.format_exc()})
            return 1
        return 0

    def _listen_to(self, child: Child) -> bool:
        """Handle a message, if there is one; gives whether there was. A worker that sends an invalid one is
        killed.
        """
        reason = ""
        try:
            message = child.channel.receive()
            if message is not None:
                self._obey(child, message)
                return True
        except BlockingIOError:
            return False
        except Exception as error:
            reason = (
                "" if isinstance(error, OSError) else f"its message cannot be read: {error!r}"
            )  # "": it is gone
        self._selector.unregister(child.channel)
        child.end(reason)
        return False

    def _obey(self, child: Child, message: Message | Handed) -> None:
        """Carry out a message. Raises: ValueError for one that no worker sends."""
        match message:
            case ["ready", *names]:
                child.ready, self._names = True, names
            case ["failed", reason]:
                log_event("worker failed", {"worker": child.index, "reason": reason})
                self._failure = reason
            case ["change", ticket, "load" | "unload" as order, name]:
                self._changes.begin(Change(child, ticket, order, name), self._crew.children.values())
            case ["done", ticket, failure]:
                self._changes.end(child, ticket, failure)
            case _:
                raise ValueError(str(message)[:100])

    def _open(self) -> None:
        """Accept connections from now on: all workers are ready. Raises: ConfigError."""
        self._listener.open()
        self._is_open = True
        self._listener.tell(self._names, self._options.workers, time.perf_counter() - self._started)

    def _bury(self, child: Child, code: int) -> None:
        """Handle the end of a worker; another one is started, unless the server is stopping or never became
        ready.
        """
        while child.channel in self._selector.get_map() and self._listen_to(child):
            pass  # its last words, to the end of the channel
        with suppress(KeyError):
            self._selector.unregister(child.channel)
        child.channel.close()
        self._changes.bury(child)
        if self._is_open and not self._kill_at:
            log_event("worker died", {"worker": child.index, "child": child.pid, "code": code})
        elif not self._kill_at:
            self._kill_at = time.monotonic()
            self._crew.end()
            self._exit_code = code if code > 0 else 1
            sys.stderr.write(f"modelyard: {self._failure or 'a worker ended before it was ready'}\n")

    def _close(self, takers: list[Child]) -> None:
        """Accept the connections that the kernel already has, then no more; the workers finish theirs."""
        self._kill_at = time.monotonic() + self._options.drain_s + 5
        if not self._is_open:
            self._crew.end()
            return
        self._listen(False)
        for _ in range(BACKLOG // ACCEPTS):
            if not takers or not self._listener.accept(takers):
                break
        self._listener.close()
        self._crew.end(patiently=True)
