"""Promotions under load: failed and wrong answers, and whether memory stays flat.

    python -m benchmarks.serving_soak --promotions 200

Each promoted version is a hand-made model whose right answers numpy knows, so every single answer is checked.
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from tests.serving.bundles import IMAGE_SHAPE, Linear, images, release
from tests.serving.conftest import Server, running

CLIENTS = 8


class Load:
    """Clients over kept connections; each checks what it gets."""

    def __init__(self, server: Server, right: dict[str, np.ndarray]) -> None:
        self.counts = [0] * CLIENTS
        self.failed: list[str] = []
        self.wrong = 0
        self.seen: set[str] = set()
        self._right = right
        self._server = server
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(index,)) for index in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self, index: int) -> None:
        entry = {
            "name": "images",
            "datatype": "UINT8",
            "shape": [1, *IMAGE_SHAPE],
            "data": images(1).reshape(-1).tolist(),
        }
        body = json.dumps({"inputs": [entry]})
        connection = http.client.HTTPConnection(self._server.address, timeout=30)
        while not self._stop.is_set():
            connection.request("POST", "/v2/models/fruit/infer", body)
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                self.failed.append(f"{response.status} {answer}")
                continue
            version = answer["model_version"]
            self.wrong += not np.allclose(answer["outputs"][1]["data"], self._right[version], atol=1e-5)
            self.seen.add(version)
            self.counts[index] += 1
        connection.close()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def memory_mb(server: Server) -> float:
    """Resident memory of the whole server."""
    return float(
        sum(psutil.Process(pid).memory_info().rss for pid in [server.process.pid, *server.workers()]) / 1e6
    )


def soak(promotions: int, workers: int, folder: Path) -> None:
    """Promote again and again; print the figures every tenth of the way."""
    releases = folder / "releases"
    release(releases, 1, Linear.seeded(1), "champion")
    right = {
        str(seed): Linear.seeded(seed).probabilities(images(1)).reshape(-1)
        for seed in range(1, promotions + 2)
    }
    with running(releases, folder / "log", "--workers", str(workers), "--poll-s", "0.05") as server:
        load, started = Load(server, right), time.monotonic()
        for version in range(2, promotions + 2):
            release(releases, version, Linear.seeded(version), "champion")
            server.wait_for(lambda version=version: str(version) in load.seen)  # type: ignore[misc]
            if (version - 1) % max(1, promotions // 10) == 0:
                print(
                    f"{version - 1:4d} promotions, {sum(load.counts)} answers, {memory_mb(server):.1f} MB",
                    flush=True,
                )
        seconds = time.monotonic() - started
        load.end()
        print(
            f"{promotions} promotions in {seconds:.0f} s: {sum(load.counts)} answers, "
            f"{len(load.failed)} failed, "
            f"{load.wrong} wrong, {len(load.seen)} versions seen"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--promotions", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        soak(given.promotions, given.workers, Path(folder))


if __name__ == "__main__":
    main()
