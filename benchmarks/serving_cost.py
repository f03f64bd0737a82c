"""What a request costs the server beside a former commit's server: CPU microseconds, in alternating pairs.

    git worktree add ../former COMMIT
    python -m benchmarks.serving_cost --former ../former [--pairs 15] [--requests 4000]

Both serve the same hand-made model of 28 x 28 pixels with one worker on core 0; a client on core 1 asks over
one kept connection, V2 binary and V2 JSON, the two servers by turns and who comes first by turns. CPU time is
the kernel's own count of all threads of all processes of a server, in nanoseconds
(/proc/PID/task/*/schedstat).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.serving.bundles import Linear, images, release

SHAPE = (28, 28, 1)
SERVER_CORE, CLIENT_CORE = 0, 1
HERE = Path(__file__).parents[1]
SPEC = {"name": "images", "datatype": "UINT8", "shape": [1, *SHAPE]}


@dataclass(slots=True)
class Measured:
    """A server and the microseconds that each round of each format took it."""

    process: psutil.Process
    client: socket.socket
    cpu_us: dict[str, list[float]] = field(default_factory=dict)

    def cpu_ns(self) -> int:
        """All threads of the server and its workers."""
        family = [self.process, *self.process.children(recursive=True)]
        tasks = [task for one in family for task in Path(f"/proc/{one.pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def ask(self, name: str, request: bytes, requests: int) -> None:
        """One round; a request leaves in one packet, as most clients and proxies send it."""
        answers = self.client.makefile("rb")
        before = self.cpu_ns()
        for _ in range(requests):
            self.client.sendall(request)
            assert answers.readline().startswith(b"HTTP/1.1 200 ")
            length = 0
            while (line := answers.readline()) != b"\r\n":
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answers.read(length)
        self.cpu_us.setdefault(name, []).append((self.cpu_ns() - before) / requests / 1e3)


def formats() -> dict[str, bytes]:
    """Name -> a request for one image."""
    pixels = images(1, shape=SHAPE)
    head = json.dumps({"inputs": [SPEC | {"parameters": {"binary_data_size": pixels.size}}]}).encode()
    flat = json.dumps({"inputs": [SPEC | {"data": pixels.reshape(-1).tolist()}]}).encode()
    binary = b"Inference-Header-Content-Length: %d\r\n" % len(head)
    return {"V2 binary": _request(head + pixels.tobytes(), binary), "V2 JSON": _request(flat)}


def _request(body: bytes, header: bytes = b"") -> bytes:
    start = b"POST /v2/models/fruit/infer HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    return start + header + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextmanager
def serving(source: Path, releases: Path) -> Iterator[Measured]:
    """A server of this source tree, on its core."""
    command = [
        sys.executable,
        "-m",
        "modelyard.serving",
        "--releases",
        str(releases),
        "--port",
        "0",
        "--workers",
        "1",
    ]
    environment = os.environ | {"PYTHONPATH": str(source / "src")}
    with subprocess.Popen(
        command, env=environment, cwd=releases, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            told = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline().decode())
            assert told is not None, f"no server of {source}"
            found = psutil.Process(process.pid)
            for one in (found, *found.children(recursive=True)):
                for thread in one.threads():
                    os.sched_setaffinity(thread.id, {SERVER_CORE})
            yield Measured(found, socket.create_connection(("127.0.0.1", int(told[1])), 30))
        finally:
            process.terminate()


def compare(former: Measured, ours: Measured, pairs: int, requests: int) -> None:
    """Alternating rounds, then a line for each format."""
    for name, request in formats().items():
        for one in (former, ours):
            one.ask("warm", request, requests // 4)
        for pair in range(pairs):
            for one in (former, ours) if pair % 2 else (ours, former):
                one.ask(name, request, requests)
        ratios = sorted(new / old for new, old in zip(ours.cpu_us[name], former.cpu_us[name], strict=True))
        told = [statistics.median(one.cpu_us[name]) for one in (former, ours)]
        print(f"{name}: former {told[0]:.1f} us, ours {told[1]:.1f} us; ", end="")
        print(
            f"ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f}), {pairs} pairs",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--former", type=Path, required=True, help="the checkout of another commit")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--requests", type=int, default=4000)
    given = parser.parse_args()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        releases = Path(folder) / "releases"
        release(releases, 1, Linear.seeded(1, SHAPE), "champion")
        former, ours = (
            stack.enter_context(serving(tree.resolve(), releases)) for tree in (given.former, HERE)
        )
        os.sched_setaffinity(0, {CLIENT_CORE})
        compare(former, ours, given.pairs, given.requests)


if __name__ == "__main__":
    main()
