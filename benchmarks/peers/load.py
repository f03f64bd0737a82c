"""What is sent to a server: 64 different images, first to verify its answers under concurrency, then to load
it.
"""

from __future__ import annotations

import http.client
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.peers.formats import Format
from benchmarks.peers.process import Running
from benchmarks.peers.servers import HERE
from modelyard.bundle import PARITY_TOLERANCE, read_bundle

BODIES = 64
VERIFIERS = 16
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Samples:
    """Images and the answers of onnxruntime for each alone."""

    images_BHWC: NDArray[np.uint8]
    probabilities_BK: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cell:
    """One load: a format at one concurrency."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """CPU time of the server's processes for one request."""


def make_samples(release: Path) -> Samples:
    """The golden samples of a release, shifted until there are `BODIES` different ones."""
    golden_BHWC, _ = read_bundle(release).samples()
    shifts = range(-(-BODIES // len(golden_BHWC)))
    images_BHWC = np.concatenate([np.roll(golden_BHWC, shift, axis=2) for shift in shifts])[:BODIES]
    session = onnxruntime.InferenceSession(release / "model.onnx", providers=["CPUExecutionProvider"])
    alone = [session.run(["probabilities"], {"images": image[None]})[0] for image in images_BHWC]
    return Samples(images_BHWC, np.concatenate(alone))


def write_bodies(form: Format, samples: Samples, folder: Path) -> None:
    """The files that rotate.lua reads."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "headers").write_text("".join(f"{name}: {value}\n" for name, value in form.headers.items()))
    for index, image_HWC in enumerate(samples.images_BHWC):
        (folder / f"{index:02d}").write_bytes(form.encode(image_HWC))


def verify(server: Running, form: Format, samples: Samples) -> float:
    """Every body `ROUNDS` times from 16 threads at once; gives the largest difference. SystemExit at a wrong
    answer.
    """

    def ask(thread: int) -> float:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        rows = [row for _ in range(ROUNDS) for row in range(thread, BODIES + thread)]
        worst = max(_difference(connection, form, samples, row % BODIES) for row in rows)
        connection.close()
        return worst

    with ThreadPoolExecutor(VERIFIERS) as pool:
        worst = max(pool.map(ask, range(VERIFIERS)))
    if not worst <= PARITY_TOLERANCE:
        raise SystemExit(f"{form.name} at port {server.port}: answers differ from onnxruntime by {worst:.2g}")
    return worst


def _difference(connection: http.client.HTTPConnection, form: Format, samples: Samples, row: int) -> float:
    connection.request("POST", form.path, form.encode(samples.images_BHWC[row]), form.headers)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise SystemExit(f"{form.path} answered {response.status}: {body[:300]!r}")
    found_K = form.decode({name.lower(): value for name, value in response.getheaders()}, body)
    return float(np.abs(found_K - samples.probabilities_BK[row]).max())


def load(server: Running, form: Format, bodies: Path, concurrency: int, seconds: int) -> Cell:
    """wrk on core 1. SystemExit when any request fails: a number with errors in it is none."""
    before = server.cpu_seconds()
    address = f"http://127.0.0.1:{server.port}{form.path}"
    threads = ["-t1", f"-c{concurrency}", f"-d{seconds}s", "--timeout", "30s"]
    command = [
        "taskset",
        "-c",
        "1",
        "wrk",
        *threads,
        "-s",
        str(HERE / "rotate.lua"),
        address,
        "--",
        str(bodies),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    used = server.cpu_seconds() - before
    result = json.loads(done.stdout.strip().splitlines()[-1])
    if result["errors"] or not result["requests"]:
        raise SystemExit(f"{form.path} at concurrency {concurrency}: {result}\n{done.stdout}")
    rate = result["requests"] / result["seconds"]
    return Cell(rate, result["p50_ms"], result["p99_ms"], 1e6 * used / result["requests"])
