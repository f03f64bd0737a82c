"""One worker process: an event loop, the models, and the connections the supervisor hands it."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus

import uvloop

from modelyard.errors import RequestError
from modelyard.serving.http.auth import Callers, Tokens
from modelyard.serving.http.connection import Connection
from modelyard.serving.http.http_message import refresh_date
from modelyard.serving.http.places import Shared
from modelyard.serving.models.following import follow_releases
from modelyard.serving.models.repository import Repository
from modelyard.serving.models.trials import Trials
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes.channel import Channel, Handed, Message
from modelyard.serving.processes.events import log_event
from modelyard.serving.processes.metrics import BEAT, WorkerMetrics
from modelyard.serving.protocol.answering import Answering
from modelyard.serving.protocol.handlers import Handlers

CHANGE_TIMEOUT_S = 60.0
GARBAGE_THRESHOLDS = (20_000, 20, 20)
TOLD_NAMES = 10
"""How many names are shown when the server is ready; all of them are in the log and in `/models`."""
SWITCH_S = 0.0005
"""How long the thread that reads pictures may hold the interpreter while the event loop waits; Python's
default is 5 ms.
"""
LAST_REQUESTS_S = 1.0
"""While draining, how long to wait for requests that may be on their way over idle connections."""


class Worker:
    """Serves until the supervisor says `drain` or is gone."""

    def __init__(
        self, options: ServeOptions, channel: Channel, index: int, shared: Shared, trials: Trials
    ) -> None:
        self._options = options
        self._channel = channel
        self._is_grpc = index == options.workers
        self._metrics = WorkerMetrics(shared.counters, index)
        self._shared = shared
        self._trials = trials
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._changes: dict[str, asyncio.Future[str]] = {}
        self._tickets = itertools.count()
        self._tokens = Tokens(options.token_file) if options.token_file else None

    async def serve(self, unloaded: frozenset[str]) -> None:
        """Raises: ModelyardError when there is nothing that can be served."""
        loop, runner = asyncio.get_running_loop(), ThreadPoolExecutor(1, "runner")
        loop.set_default_executor(ThreadPoolExecutor(2, "loader"))
        self._repository = Repository(self._options, self._metrics, runner, unloaded, self._trials)
        self._start(self._tick())
        await self._repository.start()
        callers, change = Callers(self._tokens, allow_load=self._options.allow_load), self._change_everywhere
        self._handlers = Handlers(
            self._repository, self._shared.counters, callers=callers, change_model=change
        )
        self._answering = Answering(self._handlers, self._options, self._metrics.own)
        loop.add_reader(self._channel.fileno(), self._read_channel)
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        self._start(follow_releases(self._repository, self._tokens, self._options.poll_s))
        gc.freeze()  # what lives as long as the process is not searched for garbage,
        gc.set_threshold(*GARBAGE_THRESHOLDS)  # and one nested JSON body does not start a search
        if self._is_grpc:
            from modelyard.serving.protocol.grpc_server import (
                GrpcFront,
            )  # of an extra, and with threads: after the trials' fork

            self._grpc = await GrpcFront(self._options, self._handlers, self._answering, self._tokens).open()
        names = sorted(self._repository.current)
        self._tell(
            "ready",
            *names[:TOLD_NAMES],
            *([f"{len(names) - TOLD_NAMES} more"] if len(names) > TOLD_NAMES else []),
        )
        await self._stop.wait()
        await self._drain()

    def _start(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _read_channel(self) -> None:
        """Handle all messages that have come."""
        while True:
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            except (OSError, ValueError, RecursionError) as error:
                log_event("fault", {"where": "messages", "reason": repr(error)})
                received = None
            if isinstance(received, Handed):
                self._start(self._connect(received))
            elif received is None:
                asyncio.get_running_loop().remove_reader(self._channel.fileno())
                self._stop.set()
                return
            else:
                self._obey(received)

    def _tell(self, *message: str) -> None:
        """Send a message to the supervisor; when it takes none any more this worker ends."""
        try:
            self._channel.send(*message)
        except OSError as error:
            log_event("fault", {"where": "messages", "reason": repr(error)})
            self._stop.set()

    async def _connect(self, handed: Handed) -> None:
        leave = partial(self._shared.places.leave, handed.place)
        make = partial(Connection, self._answering, self._connections, leave)
        try:
            if handed.connection is None:
                raise OSError("no file descriptor left")
            await asyncio.get_running_loop().connect_accepted_socket(make, handed.connection)
        except OSError as error:
            log_event("connection lost", {"reason": str(error)})
            leave()

    def _obey(self, message: Message) -> None:
        match message:
            case ["drain"]:
                self._stop.set()
            case ["change", ticket, order, name]:
                self._start(self._change_here(ticket, order, name))
            case ["changed", ticket, failure] if ticket in self._changes and not self._changes[ticket].done():
                self._changes[ticket].set_result(failure)

    async def _change_here(self, ticket: str, order: str, name: str) -> None:
        """Load or unload in this worker and report."""
        failure = ""
        try:
            await (self._repository.load(name) if order == "load" else self._repository.unload(name))
        except RequestError as error:
            failure = str(error)
        except Exception as error:
            log_event("fault", {"where": order, "reason": repr(error)})
            failure = f"{order} of {name!r} failed in a worker; its log has the reason"
        self._tell("done", ticket, failure)

    async def _change_everywhere(self, order: str, name: str) -> None:
        """Have all workers load or unload, and return when all have. Raises: RequestError (400, 504)."""
        await self._repository.expect(name)
        ticket = f"{os.getpid()}-{next(self._tickets)}"
        self._changes[ticket] = asyncio.get_running_loop().create_future()
        self._tell("change", ticket, order, name)
        try:
            failure = await asyncio.wait_for(self._changes[ticket], CHANGE_TIMEOUT_S)
        except TimeoutError:
            raise RequestError(
                f"not every worker did {order} {name!r} in time", HTTPStatus.GATEWAY_TIMEOUT
            ) from None
        finally:
            del self._changes[ticket]
        if failure:
            raise RequestError(failure)

    async def _tick(self) -> None:
        """Once a second: a sign of life, the Date header, and the timeouts of connections."""
        while True:
            self._metrics.own[BEAT] += 1
            refresh_date()
            for connection in list(self._connections):
                connection.expire(self._options.read_timeout_s, self._options.idle_timeout_s)
            await asyncio.sleep(min(1.0, self._options.read_timeout_s / 2))

    async def _drain(self) -> None:
        """Answer the requests that have arrived, each with `connection: close`; then close the idle
        connections.
        """
        loop = asyncio.get_running_loop()
        self._handlers.draining = True
        if self._is_grpc:
            await self._grpc.drain()
        await self._until_empty(loop.time() + LAST_REQUESTS_S)
        for connection in list(self._connections):
            connection.shutdown()
        await self._until_empty(loop.time() + self._options.drain_s)
        log_event("stopped", {"open": len(self._connections)})

    async def _until_empty(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while self._connections and loop.time() < deadline:
            await asyncio.sleep(0.02)


def run_worker(
    options: ServeOptions, channel: Channel, index: int, shared: Shared, unloaded: frozenset[str]
) -> None:
    """What a worker process does, from start to end. Raises: ModelyardError when it cannot start."""

    async def live() -> None:
        await Worker(options, channel, index, shared, trials).serve(unloaded)

    sys.setswitchinterval(SWITCH_S)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor, which drains the workers
    trials = Trials(options.load_timeout_s, options.load_memory_mb)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live())
