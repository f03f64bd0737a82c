"""Overload: what a server does when asked for several times what it can do.

    python -m benchmarks.serving_overload [--times 4] [--seconds 15] [--queue-s 0.25]

The capacity of one worker on core 0 is measured first, with connections that ask again as soon as they are
answered. Then requests leave core 1 at fixed moments, whether or not earlier ones were answered (an open
loop: a slow server gets no relief), at half the capacity and at `--times` the capacity. Latency counts from
the moment a request was due, so what the client itself is late by is in it, and printed. The model is made by
hand and numpy knows its right answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvloop

from benchmarks.serving_soak import memory_mb
from tests.serving.bundles import IMAGE_SHAPE, Linear, images, release, slow
from tests.serving.conftest import Server, running

SERVER_CORE, CLIENT_CORE = 0, 1
CAPACITY_CONNECTIONS = 8
REFUSED_PAUSE_S = 0.01
MODEL = Linear.seeded(1)
HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Tally:
    """Seconds from due to answered, by status; and how late the client sent."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    lateness: list[float] = field(default_factory=list)
    wrong: int = 0

    def row(self, status: int) -> str:
        found = self.seconds.get(status, [])
        if not found:
            return f"{status}: none"
        p50, p99 = np.percentile(found, [50, 99]) * 1e3
        return f"{status}: {len(found)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms"


class Client:
    """Kept connections; one is opened when a request is due and none is free."""

    def __init__(self, server: Server) -> None:
        self._host, _, self._port = server.address.rpartition(":")
        self._free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        entry = {
            "name": "images",
            "datatype": "UINT8",
            "shape": [1, *IMAGE_SHAPE],
            "data": images(1).reshape(-1).tolist(),
        }
        body = json.dumps({"inputs": [entry]}).encode()
        self._request = (
            b"POST /v2/models/fruit/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        self._right = MODEL.probabilities(images(1)).reshape(-1)
        self.opened = 0

    async def ask(self, due: float, tally: Tally) -> int:
        """One request and its answer, checked; its status."""
        if not self._free:
            self.opened += 1
            self._free.append(await asyncio.open_connection(self._host, int(self._port)))
        reader, writer = self._free.pop()
        tally.lateness.append(time.perf_counter() - due)
        writer.write(self._request)
        head = await reader.readuntil(HEAD_END)
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")
        )
        body = await reader.readexactly(length)
        status = int(head[9:12])
        tally.seconds.setdefault(status, []).append(time.perf_counter() - due)
        if b"connection: close" in head:
            writer.close()
        else:
            self._free.append((reader, writer))
        if status == 200:
            tally.wrong += not np.allclose(json.loads(body)["outputs"][1]["data"], self._right, atol=1e-5)
        return status

    async def close(self) -> None:
        for _, writer in self._free:
            writer.close()
            await writer.wait_closed()


async def measure_capacity(client: Client, seconds: float) -> float:
    """Right answers a second when `CAPACITY_CONNECTIONS` ask without a pause, but for one after a refusal."""
    tally, end = Tally(), time.perf_counter() + seconds

    async def ask_on() -> None:
        while time.perf_counter() < end:
            if await client.ask(time.perf_counter(), tally) != 200:
                await asyncio.sleep(REFUSED_PAUSE_S)

    await asyncio.gather(*(ask_on() for _ in range(CAPACITY_CONNECTIONS)))
    if not {200} <= tally.seconds.keys() <= {200, 503} or tally.wrong:
        raise SystemExit(
            f"the capacity cannot be measured: {tally.wrong} wrong, "
            f"{', '.join(map(tally.row, tally.seconds))}"
        )
    return len(tally.seconds[200]) / seconds


async def offer(client: Client, rate: float, seconds: float) -> Tally:
    """Requests at fixed moments, evenly spaced."""
    tally, started = Tally(), time.perf_counter()
    asked: list[asyncio.Task[int]] = []
    for number in range(int(rate * seconds)):
        due = started + number / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        asked.append(asyncio.create_task(client.ask(due, tally)))
    await asyncio.gather(*asked)
    return tally


async def measure(server: Server, given: argparse.Namespace) -> None:
    client = Client(server)
    await measure_capacity(client, 1)
    capacity = await measure_capacity(client, 5)
    print(
        f"capacity {capacity:.0f} requests/s; queue {given.queue_s} s; {memory_mb(server):.0f} MB", flush=True
    )
    for times in (0.5, given.times):
        tally = await offer(client, times * capacity, given.seconds)
        others = sorted(tally.seconds.keys() - {200, 503})
        rate = len(tally.seconds.get(200, [])) / given.seconds
        late_ms = np.percentile(tally.lateness, 99) * 1e3
        print(
            f"{times:g} times: {times * capacity:.0f} requests/s offered, {rate:.0f} answered; "
            f"{tally.row(200)};"
        )
        print(
            f"   {tally.row(503)}; others {others}, {tally.wrong} wrong; client late by p99 {late_ms:.1f} ms;"
        )
        print(f"   {client.opened} connections, {memory_mb(server):.0f} MB", flush=True)
    await client.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--queue-s", type=float, default=0.25)
    parser.add_argument("--multiplications", type=int, default=800, help="how slow the model is")
    given = parser.parse_args()
    os.sched_setaffinity(0, {SERVER_CORE})  # the server inherits it
    with TemporaryDirectory() as folder:
        releases = Path(folder) / "releases"
        release(releases, 1, MODEL, "champion", graph=MODEL.graph(slow(given.multiplications)))
        with running(
            releases, Path(folder) / "log", "--workers", "1", "--queue-s", str(given.queue_s)
        ) as server:
            os.sched_setaffinity(0, {CLIENT_CORE})
            uvloop.run(measure(server, given))


if __name__ == "__main__":
    main()
