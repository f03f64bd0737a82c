"""Many connections that send what they are given, and a bystander in a process of its own that only wants its
answers.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event

import numpy as np
import uvloop

from benchmarks.hostility.bodies import INFER, PIXELS, SHAPE, request
from benchmarks.hostility.kinds import KINDS, Kind

PATIENCE_S = 45.0
"""A request without an answer after this hangs."""
CONNECTIONS = 16
BYSTANDER_PAUSE_S = 0.01
Address = tuple[str, int]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Sent = Iterator[tuple[Kind, bytes]]


@dataclass(slots=True)
class Tally:
    """What was answered to what, and what was not handled."""

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    """Kind and answer that does not handle it -> how often."""

    def count(self, kind: Kind, status: int | None) -> None:
        """`status`: None for a request that hangs, 0 for a connection that was closed."""
        self.sent += 1
        if status is None:
            self.wrong[f"{kind.name}: no answer in {PATIENCE_S:.0f} s"] += 1
            return
        self.statuses[status] += 1
        if status not in kind.right and not (kind.abort and status == 0):
            self.wrong[f"{kind.name}: {status or 'closed without an answer'}"] += 1


def hostile(count: int, seed: int) -> Sent:
    """Kinds by their weight, and each of them thrice."""
    chance = random.Random(seed)
    weights = [kind.weight for kind in KINDS]
    for kind in chance.sample(chosen := [*KINDS * 3, *chance.choices(KINDS, weights, k=count)], len(chosen)):
        yield kind, kind.make(chance)


def honest(count: int, make: Callable[[random.Random], bytes]) -> Sent:
    """As many ordinary requests."""
    chance, kind = random.Random(0), Kind("ordinary", make, frozenset({200, 503}))
    for _ in range(count):
        yield kind, make(chance)


async def converse(address: Address, kind: Kind, content: bytes) -> int | None:
    """One request on a connection of its own; the status of its answer, as `Tally.count` takes it."""
    writer = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(content)
            if kind.abort:
                with suppress(TimeoutError):
                    await asyncio.wait_for(writer.drain(), 2)
                return 0
            if writer.can_write_eof():
                writer.write_eof()
            head = await reader.read(64)
            while b"100 Continue" in head:
                head = await reader.read(64)
            return int(head[9:12]) if head.startswith(b"HTTP/1.1 ") else 0
    except TimeoutError:
        return None
    except OSError:
        return 0
    finally:
        if writer is not None:
            writer.transport.abort()


async def send(address: Address, sent: Sent) -> Tally:
    """All of it over `CONNECTIONS` at once."""
    tally = Tally()

    async def one() -> None:
        for kind, content in sent:
            tally.count(kind, await converse(address, kind, content))

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return tally


def run_traffic(address: Address, sent: Sent) -> Tally:
    """`send` in an event loop of its own."""
    return uvloop.run(send(address, sent))


class Bystander:
    """Another client: over one kept connection it asks a hundred times a second, and each answer
    is checked.
    """

    def __init__(self, address: Address) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._results = context.Queue()
        self._process = context.Process(target=_stand_by, args=(address, self._stop, self._results.put))
        self._process.start()
        self._results.get(timeout=PATIENCE_S)  # it is asking

    def end(self) -> tuple[list[float], Counter[str]]:
        """Milliseconds of each answer; what was not answered as it should be."""
        self._stop.set()
        found: tuple[list[float], Counter[str]] = self._results.get(timeout=2 * PATIENCE_S)
        self._process.join()
        return found


def _stand_by(address: Address, stop: Event, tell: Callable[[object], None]) -> None:
    uvloop.run(_ask_on(address, stop, tell))


async def _ask_on(address: Address, stop: Event, tell: Callable[[object], None]) -> None:
    entry = {"name": "images", "datatype": "UINT8", "shape": [1, *SHAPE], "data": [7] * PIXELS}
    asked = request(INFER, json.dumps({"inputs": [entry]}).encode())
    milliseconds: list[float] = []
    failures: Counter[str] = Counter()
    streams: Streams | None = None
    expected = b""
    tell("ready")
    while not stop.is_set():
        began = time.perf_counter()
        try:
            streams = streams or await asyncio.open_connection(*address)
            answer = await asyncio.wait_for(_ask(streams, asked), PATIENCE_S)
            failures.update(["another answer"] if expected and answer != expected else [])
            expected = expected or answer
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            failures[f"bystander: {type(error).__name__}"] += 1
            if streams:
                streams[1].transport.abort()
            streams = None
        milliseconds.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(BYSTANDER_PAUSE_S)
    tell((milliseconds, failures))


async def _ask(streams: Streams, asked: bytes) -> bytes:
    reader, writer = streams
    writer.write(asked)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")
    )
    return head[9:12] + await reader.readexactly(length)


def p99(milliseconds: list[float]) -> float:
    return float(np.percentile(milliseconds, 99))
