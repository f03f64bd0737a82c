"""What `modelyard up` takes: seconds until it is ready, memory while it idles, seconds from a promotion to
its answers.

    python benchmarks/operate.py [--repeats 5]

A store of its own gets two small versions of `digits`; then `modelyard up --detach` is timed, the resident
memory of all its processes is summed after a minute without work, and versions are promoted and rolled back
while a client asks the model server without a pause. A promotion is timed from the start of its command, and
from the line in the ledger.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from modelyard.home import Home
from modelyard.machine.identity import PREFIX
from modelyard.operations.state import running_state
from modelyard.releases.ledger import LEDGER_FILE

PORTS = ("--prefect-port", "4262", "--mlflow-port", "5062", "--serve-port", "9762")
RUN = ("run", "-d", "digits", "--preset", "smoke", "-a", "cnn", "-a", "rnn", "--set", "training.epochs=2")
SERVED = "http://127.0.0.1:9762/v2/models/digits"


def modelyard(*words: str) -> str:
    """What the command prints. SystemExit when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "modelyard", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"modelyard {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def served_version() -> int:
    """The version that answers for `digits` now."""
    with urllib.request.urlopen(SERVED, timeout=5) as metadata:
        shape = [1, *json.loads(metadata.read())["inputs"][0]["shape"][1:]]
    asked = {"name": "images", "datatype": "UINT8", "shape": shape, "data": [0] * math.prod(shape)}
    with urllib.request.urlopen(
        f"{SERVED}/infer", json.dumps({"inputs": [asked]}).encode(), timeout=5
    ) as answer:
        return int(json.loads(answer.read())["model_version"])


def memory_mb() -> dict[str, float]:
    """Resident memory of the supervisor and of everything below it."""
    state = running_state(Home.current())
    if state is None:
        raise SystemExit("modelyard up does not run")
    supervisor = psutil.Process(int(state.process.removeprefix(PREFIX).split("/")[1]))
    sizes = {"supervisor": supervisor.memory_info().rss / 1e6}
    names = {row["pid"]: row["part"] for row in json.loads(modelyard("status", "--json"))}
    for part in supervisor.children():
        family = [part, *part.children(recursive=True)]
        sizes[names.get(part.pid, str(part.pid))] = sum(process.memory_info().rss for process in family) / 1e6
    return sizes


def until_served(*words: str) -> tuple[float, float]:
    """Seconds until another version answers: from the command's start, and from the ledger's line."""
    before, ledger = served_version(), Home.current().releases / "digits" / LEDGER_FILE
    lines, moved = ledger.read_bytes().count(b"\n"), None
    start = time.perf_counter()
    command = subprocess.Popen([sys.executable, "-m", "modelyard", *words], stdout=subprocess.DEVNULL)
    while served_version() == before:
        if moved is None and ledger.read_bytes().count(b"\n") > lines:
            moved = time.perf_counter()
        if time.perf_counter() - start > 60:
            raise SystemExit(f"modelyard {' '.join(words)} was not served within a minute")
        time.sleep(0.005)
    end = time.perf_counter()
    if command.wait():
        raise SystemExit(f"modelyard {' '.join(words)} failed")
    return end - start, end - (moved or end)


def spread(seconds: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f}-{max(seconds):.2f})"


def measure(repeats: int) -> None:
    """Everything, printed."""
    modelyard(*RUN)
    start = time.perf_counter()
    modelyard("up", "--detach", *PORTS)
    print(f"ready: {time.perf_counter() - start:.1f} s")
    time.sleep(60)
    sizes = memory_mb()
    print(
        f"idle: {sum(sizes.values()):.0f} MB "
        f"({', '.join(f'{name} {size:.0f}' for name, size in sorted(sizes.items()))})"
    )
    moves: dict[str, list[Any]] = {"promotion": [], "rollback": []}
    for _ in range(repeats):
        other = 3 - served_version()
        moves["promotion"].append(until_served("models", "promote", f"digits@{other}", "--force"))
        moves["rollback"].append(until_served("models", "rollback", "digits"))
    for name, times in moves.items():
        whole, after = zip(*times, strict=True)
        print(
            f"{name} to served: {spread(list(whole))} from the command's start, "
            f"{spread(list(after))} from the ledger's line"
        )


def main() -> None:
    """In a store of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "MODELYARD_HOME": str(Path(folder) / "runs"),
            "MODELYARD_CACHE": str(Path(folder) / "cache"),
        }
        try:
            measure(options.repeats)
        finally:
            modelyard("down")


if __name__ == "__main__":
    main()
