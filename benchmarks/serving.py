"""Requests a second, latency, CPU and memory of `modelyard serve` beside what people use today.

    python -m benchmarks.serving [--store mlruns] [--model mnist@cnn] [--quick] [--json FILE]

One machine, one run: each server, in its own environment, runs on core 0 and wrk (Debian's package) on core
1. Before a server is timed its answers to 64 different bodies are compared with onnxruntime's under 16
concurrent threads. Repeats go through all servers in turn, so that a ratio is taken within one repeat and has
a spread. The input is uint8, 784 bytes an image for MNIST; the peers get the same pixels as JSON numbers.
Without a store a small CNN is trained first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.environments import environment_python, package_version
from benchmarks.peers.load import Samples, load, make_samples, verify, write_bodies
from benchmarks.peers.process import free_port, running
from benchmarks.peers.record import Limit, Row, as_json, break_even_table, cells_table, ratios_table
from benchmarks.peers.servers import HERE, Server, Start, all_servers
from modelyard.bundle import MODEL_FILE, open_bundle
from modelyard.home import Home
from modelyard.inference.files import released_folder
from modelyard.releases.pointers import CHAMPION, write_pointer

CONCURRENCIES = (1, 16, 64)
SERVER_CORE, BOTH_CORES = "0", "0,1"


@dataclass(frozen=True, slots=True)
class Bench:
    """What one run of the benchmark keeps at hand."""

    scratch: Path
    release: Path
    home: Path
    samples: Samples
    seconds: int


def prepare(options: argparse.Namespace, scratch: Path) -> Bench:
    """A run store that holds the one release under test."""
    store = Path(options.store).resolve() if options.store else train_small(scratch)
    found = released_folder(Home(store), options.model if options.store else "digits@cnn")
    name = open_bundle(found).model_name
    release = scratch / "home" / "releases" / name / found.name
    shutil.copytree(found, release)
    write_pointer(release.parent, CHAMPION, int(found.name))
    return Bench(scratch, release, scratch / "home", make_samples(release), options.seconds)


def train_small(scratch: Path) -> Path:
    """The same CNN on scikit-learn's digits, two epochs: its speed does not depend on its weights."""
    print("no --store: training a small CNN on digits", file=sys.stderr, flush=True)
    command = [
        "run",
        "--dataset",
        "digits",
        "--preset",
        "smoke",
        "--architecture",
        "cnn",
        "--set",
        "training.epochs=2",
    ]
    environment = os.environ | {
        "MODELYARD_HOME": str(scratch / "store"),
        "MODELYARD_CACHE": str(scratch / "cache"),
    }
    subprocess.run(
        [sys.executable, "-m", "modelyard", *command], env=environment, check=True, capture_output=True
    )
    return scratch / "store"


def measure_limit(bench: Bench, python: Path, limit: Limit) -> None:
    """onnxruntime alone, in the environment of our server and on the servers' core."""
    command = [
        "taskset",
        "-c",
        SERVER_CORE,
        str(python),
        str(HERE / "limit.py"),
        str(bench.release / MODEL_FILE),
    ]
    done = subprocess.run([*command, str(bench.seconds / 2)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    limit.best_rate.append(max(found["images_per_second"].values()))
    limit.p50_ms.append(found["p50_ms"])


def start_of(bench: Bench, server: Server, python: Path, workers: int) -> Start:
    scratch = bench.scratch / f"{server.name}-{workers}"
    scratch.mkdir(exist_ok=True)
    return Start(python, bench.release / MODEL_FILE, bench.home, scratch, free_port(), workers)


def measure_server(bench: Bench, server: Server, python: Path, rows: list[Row]) -> None:
    """One repeat: start, and for each format verify, warm up and load."""
    with running(server, start_of(bench, server, python, 1), SERVER_CORE) as up:
        for form, row in zip(server.formats, rows, strict=True):
            bodies = bench.scratch / "bodies" / server.name / form.name.strip("/")
            write_bodies(form, bench.samples, bodies)
            worst = verify(up, form, bench.samples)
            for concurrency in CONCURRENCIES:
                load(up, form, bodies, concurrency, 1)  # adaptive batchers learn the load anew
                row.cells.setdefault(concurrency, []).append(
                    load(up, form, bodies, concurrency, bench.seconds)
                )
            row.ready_seconds.append(up.ready_seconds)
            row.memory_mb.append(up.memory_mb())
            best = row.best_rates()[-1]
            print(
                f"{server.name:>10}  {form.name:<12} {best:8.0f} req/s, largest difference {worst:.1g}",
                file=sys.stderr,
            )


def measure_two_workers(bench: Bench, server: Server, python: Path, rows: list[Row]) -> None:
    """Memory after a load on both cores."""
    with running(server, start_of(bench, server, python, 2), BOTH_CORES) as up:
        verify(up, server.formats[0], bench.samples)
        load(
            up,
            server.formats[0],
            bench.scratch / "bodies" / server.name / server.formats[0].name.strip("/"),
            16,
            2,
        )
        for row in rows:
            row.memory_two_mb = up.memory_mb()


def measure(bench: Bench, servers: list[Server], repeats: int) -> tuple[list[Row], Limit]:
    """All servers in turn, `repeats` times, then once with two workers (with a single repeat ours only)."""
    pythons = {server.name: environment_python(server.name, server.requirements) for server in servers}
    rows = {
        server.name: [
            Row(server.name, _version(server, pythons[server.name]), form.name) for form in server.formats
        ]
        for server in servers
    }
    limit = Limit()
    for repeat in range(repeats):
        measure_limit(bench, pythons[servers[0].name], limit)
        for server in servers if repeat % 2 == 0 else servers[::-1]:
            measure_server(bench, server, pythons[server.name], rows[server.name])
    for server in servers if repeats > 1 else servers[:1]:
        measure_two_workers(bench, server, pythons[server.name], rows[server.name])
    return [row for group in rows.values() for row in group], limit


def _version(server: Server, python: Path) -> str:
    return "" if server.name == "modelyard" else package_version(python, server.name.lower())


def report(bench: Bench, rows: list[Row], limit: Limit, repeats: int) -> str:
    """Markdown."""
    manifest = open_bundle(bench.release)
    model = (
        f"{manifest.model_name} {manifest.architecture}, "
        f"{(bench.release / MODEL_FILE).stat().st_size / 1000:.0f} KB"
    )
    shape = "x".join(map(str, manifest.form.hwc))
    return "\n".join([
        f"{time.strftime('%Y-%m-%d')}, {_processor()}, {os.cpu_count()} cores, Python "
f"{platform.python_version()}; {model},"
        f" uint8 {shape}; server on one core, {repeats} repeats of {bench.seconds} s, medians.", "",
        f"onnxruntime alone on that core: {statistics.median(limit.best_rate):.0f} images/s at "
"its best batch,"
        f" p50 {statistics.median(limit.p50_ms):.3f} ms at batch 1.", "",
        *cells_table(rows), "", *ratios_table(rows, limit), "",
        "Speed-up for a larger model, from the overheads above (CPU us a request beyond the "
"model, same format):", "",
        *break_even_table(rows, limit),
    ])  # fmt: skip


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", help="a run store with a released model")
    parser.add_argument("--model", default="mnist@cnn")
    parser.add_argument(
        "--quick", action="store_true", help="one repeat of one second: a check, not a measurement"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="names of peers; ours always runs")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server under test is ended too
    if options.quick:
        options.repeats = options.seconds = 1
    if shutil.which("wrk") is None or shutil.which("taskset") is None or (os.cpu_count() or 1) < 2:
        raise SystemExit("this needs two cores, taskset and wrk (apt-get install wrk)")
    with tempfile.TemporaryDirectory() as folder:
        bench = prepare(options, Path(folder))
        manifest = open_bundle(bench.release)
        servers = all_servers(manifest.model_name, manifest.form.hwc)
        chosen = [one for one in servers if not options.only or one.name in ("modelyard", *options.only)]
        rows, limit = measure(bench, chosen, options.repeats)
        print(report(bench, rows, limit, options.repeats))
        if options.json:
            options.json.write_text(json.dumps(as_json(rows, limit), indent=1) + "\n")


if __name__ == "__main__":
    main()
