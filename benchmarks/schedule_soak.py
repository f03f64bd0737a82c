"""A schedule left to itself while its parts are killed: is its history complete, and is anything lost,
doubled or left over?

    python benchmarks/schedule_soak.py --minutes 60 [--folder DIR]

`modelyard up` serves a schedule that looks at an image folder every other minute; the folder grows, so that
most looks train, compare and promote. Every two minutes something is killed with SIGKILL, stopped for a while
or restarted, in turn. At the end every due time must have one flow run in a final state, every MLflow run
must be over, no work may be registered twice, every alias must answer, and after `modelyard down` no process
may be left. Each fault is a JSON line in DIR/faults.jsonl as it happens.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from modelyard.home import Home
from modelyard.operations.state import running_state
from modelyard.registry.versions import model_names, versions
from modelyard.sources.sources import load_dataset
from modelyard.tracking.store import open_store

PORTS = ("--prefect-port", "4261", "--mlflow-port", "5061", "--serve-port", "9761")
SMALL = (
    "--preset",
    "smoke",
    "--set",
    "training.epochs=2",
    "--set",
    "training.min_steps=0",
    "-a",
    "cnn",
    "-a",
    "rnn",
)
EVERY_MINUTES, FAULT_SECONDS, HANG_SECONDS, AWAY_SECONDS = 2, 120, 20, 200


def modelyard(*words: str) -> str:
    """What the command prints. SystemExit when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "modelyard", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"modelyard {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def grow(folder: Path, round_: int) -> None:
    """Some more images of every class."""
    digits = load_dataset("digits").train
    images_NCHW, labels_N = digits.gather(slice(0, 1000)), digits.labels_N[:1000]
    for label in range(10):
        rows = (labels_N == label).nonzero()[0]
        chosen = rows[: 40 + round_] if round_ == 0 else rows[39 + round_ : 40 + round_]
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        for row in chosen:
            Image.fromarray(images_NCHW[row, 0]).save(folder / str(label) / f"{row:04d}.png")


def _processes(words: tuple[str, ...]) -> list[psutil.Process]:
    """Processes of the soaked store whose command line has all these words."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command, environment = process.info["cmdline"] or [], process.info["environ"] or {}
        if environment.get("MODELYARD_HOME") == os.environ["MODELYARD_HOME"] and all(
            word in command for word in words
        ):
            found.append(process)
    return [process for process in found if process.pid != os.getpid()]


def kill(*words: str) -> Callable[[], str]:
    """A fault: SIGKILL for what has these words on its command line."""

    def happen() -> str:
        deadline = time.time() + 60 * EVERY_MINUTES
        while (
            not (found := _processes(words)) and time.time() < deadline
        ):  # some are there only while a run is at work
            time.sleep(0.2)
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return f"killed {len(found)}"

    return happen


def hang_prefect() -> str:
    """The server does not answer for a while."""
    (server, *_) = _processes(("flows.server", "up"))
    server.suspend()
    time.sleep(HANG_SECONDS)
    server.resume()
    return f"stopped for {HANG_SECONDS} s"


def kill_supervisor() -> str:
    """Everything goes with it; somebody (systemd, a person) starts it again."""
    found = kill("supervisor.supervisord")()
    time.sleep(5)
    left = len(_processes(("modelyard.machine.bound",))) + len(_processes(("flows.worker",)))
    modelyard("up", "--detach", *PORTS)
    return f"{found}, {left} parts outlived it, started again"


def away() -> str:
    """An orderly end, and a gap in which runs are missed."""
    modelyard("down")
    time.sleep(AWAY_SECONDS)
    modelyard("up", "--detach", *PORTS)
    return f"down for {AWAY_SECONDS} s, started again"


FAULTS: dict[str, Callable[[], str]] = {
    "worker killed": kill("flows.worker"),
    "training killed": kill("modelyard.steps.train"),
    "Prefect's server killed": kill("flows.server", "up"),
    "flow run killed": kill("prefect.engine"),
    "MLflow's server killed": kill("mlflow.server.fastapi_app:app"),
    "model server killed": kill("modelyard.serving"),
    "Prefect's server hangs": hang_prefect,
    "supervisor killed": kill_supervisor,
    "down and up": away,
}


@dataclass(slots=True)
class Soak:
    """One soak: where it is and when it began."""

    folder: Path
    began: datetime

    def inject_until(self, end: float) -> None:
        """A fault every `FAULT_SECONDS`, and more images each time."""
        faults, count = list(FAULTS), 0
        while time.time() < end:
            time.sleep(FAULT_SECONDS)
            grow(self.folder / "images", count + 1)
            name = faults[count % len(faults)]
            count += 1
            told = {
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "fault": name,
                "what": FAULTS[name](),
            }
            with (self.folder / "faults.jsonl").open("a") as stream:
                stream.write(json.dumps(told) + "\n")
            print(json.dumps(told), flush=True)

    def settle(self) -> list[dict[str, Any]]:
        """Plan no more; wait until the last run has ended; gives the whole history."""
        modelyard("schedule", "pause", "soak")
        deadline = time.time() + 600
        while time.time() < deadline:
            rows: list[dict[str, Any]] = json.loads(
                modelyard("schedule", "history", "soak", "--limit", "200", "--json")
            )
            if not any(
                row["state"] in {"Running", "Pending", "Late", "Scheduled", "AwaitingRetry"} for row in rows
            ):
                return rows
            time.sleep(5)
        raise SystemExit(
            f"runs that do not end: {[row for row in rows if row['state'] in {'Running', 'Pending', 'Late'}]}"
        )

    def findings(self, rows: list[dict[str, Any]], end: datetime) -> dict[str, Any]:
        """What the stores say, against what they should."""
        home = Home.current()
        due = self.began.replace(second=0, microsecond=0) + timedelta(minutes=1)
        expected = set()
        while due < end:
            if due.minute % EVERY_MINUTES == 0:
                expected.add(due.isoformat())
            due += timedelta(minutes=1)
        times = Counter(row["due"] for row in rows)
        client, experiment = open_store(home)
        runs = client.search_runs([experiment], max_results=1000)
        known = [version for name in model_names(home) for version in versions(home, name)]
        bundles = Counter(version.tags["bundle"] for version in known)
        return {
            "due": len(expected),
            "missing": sorted(expected - set(times)),
            "twice": [time_ for time_, count in times.items() if count > 1],
            "states": dict(Counter(row["state"] for row in rows)),
            "tried again": sum(row["tries"] > 1 for row in rows),
            "mlflow": dict(Counter(run.info.status for run in runs)),
            "versions": len(known),
            "registered twice": [bundle for bundle, count in bundles.items() if count > 1],
        }


def main() -> int:
    """Soak, look, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="soak-"))).resolve()
    os.environ |= {"MODELYARD_HOME": str(folder / "runs"), "MODELYARD_CACHE": str(folder / "cache")}
    grow(folder / "images", 0)
    modelyard("up", "--detach", *PORTS)
    modelyard(
        "schedule",
        "add",
        "compare",
        "-d",
        str(folder / "images"),
        "--name",
        "soak",
        "--cron",
        f"*/{EVERY_MINUTES} * * * *",
        *SMALL,
    )
    soak = Soak(folder, datetime.now(UTC))
    soak.inject_until(time.time() + 60 * options.minutes)
    end = datetime.now(UTC)
    found = soak.findings(soak.settle(), end)
    found["serving"] = running_state(Home.current()) is not None
    modelyard("down")
    time.sleep(3)
    found["left over"] = [" ".join(process.cmdline())[:120] for process in _processes(())]
    (folder / "findings.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return int(
        bool(
            found["missing"]
            or found["twice"]
            or found["registered twice"]
            or found["left over"]
            or "RUNNING" in found["mlflow"]
        )
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
