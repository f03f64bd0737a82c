"""Trainings under outages of the MLflow server that they are mirrored to: is anything lost or doubled?

    python -m benchmarks.tracking_outages [--only WORD] [--json FILE]

Each fault gets a real `modelyard run` (digits, one architecture, two epochs) with the fault injected, which
has to end with exit code 0; then the fault is removed, `modelyard sync` is timed, and the store is compared
with the server's own database and disk. The full disk needs root (a small tmpfs); without it that row is left
out.
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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from modelyard.home import Home
from tests.mirror.remote_server import HarmfulProxy, MlflowServer, differences

SMALL = [
    "--set",
    "training.epochs=2",
    "--set",
    "training.min_steps=0",
    "--set",
    "training.max_train_images=600",
]
RUN = ["run", "--dataset", "digits", "--preset", "smoke", "-a", "rnn", *SMALL]
EPOCH, REGISTRATION = "epoch 1/2", "registration"
Act = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong; at which line of the run; how it is put right before the sync."""

    name: str
    how: str
    inject: Act
    heal: Act
    at: str = ""
    """A part of the run's output at which it is injected; empty: before the run."""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one fault."""

    fault: str
    how: str
    training_exit: int
    training_s: float
    said: str
    lost: int
    doubled: int
    recovery_s: float


class Bench:
    """One store, whose runs are mirrored."""

    def __init__(self, folder: Path) -> None:
        self.home, self._folder, self._seed = Home(folder / "runs"), folder, 0

    def environment(self, address: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLFLOW_", "MODELYARD_", "PREFECT_"))
        }
        own = {"MODELYARD_HOME": str(self.home.root), "MODELYARD_CACHE": str(self._folder / "cache")}
        return kept | own | ({"MODELYARD_REMOTE": address} if address else {})

    def train(self, address: str, at: str, inject: Act) -> tuple[int, float, str]:
        """Exit code, seconds and what was said of the server."""
        self._seed += 1
        began, said = time.monotonic(), ""
        command = [sys.executable, "-m", "modelyard", *RUN, "--seed", str(self._seed)]
        process = subprocess.Popen(
            command,
            env=self.environment(address),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in process.stderr or ():
            if at and at in line:
                inject()
            if "modelyard sync" in line:
                said = line.strip()
        return process.wait(), time.monotonic() - began, said

    def sync(self, address: str) -> float:
        """Seconds of the whole command."""
        began = time.monotonic()
        command = [sys.executable, "-m", "modelyard", "sync", "--quiet"]
        subprocess.run(command, env=self.environment(address), check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began

    def row(self, fault: Fault, server: MlflowServer) -> Row:
        """Inject, train, heal, sync, compare."""
        if not fault.at:
            fault.inject()
        code, seconds, said = self.train(fault.address, fault.at, fault.inject)
        fault.heal()
        recovery = self.sync(fault.address)
        lost, doubled = differences(self.home, server)
        for part in (*lost, *doubled):
            print("  !", part)
        return Row(fault.name, fault.how, code, seconds, said, len(lost), len(doubled), recovery)


def http_faults(proxy: HarmfulProxy) -> list[Fault]:
    """What a proxy before the server does."""

    def harm(**values: float) -> Act:
        return partial(vars(proxy).update, values)

    address = proxy.address
    return [
        Fault("slow", "a proxy delays each request by 2 s", harm(delay_s=2.0), proxy.heal, address=address),
        Fault("refusing", "a proxy answers 503", harm(status=503), proxy.heal, address=address),
        Fault("refusing", "a proxy answers 401", harm(status=401), proxy.heal, address=address),
        Fault("failing", "a proxy answers 500", harm(status=500), proxy.heal, address=address),
        Fault("answers lost", "a proxy forwards "
"10 writes, then cuts", harm(lost_answers=10), proxy.heal, address=address),
        Fault("partial uploads", "a proxy forwards "
"half of 5 uploads", harm(cut_uploads=5), proxy.heal, address=address),
    ]  # fmt: skip


def server_faults(server: MlflowServer) -> list[Fault]:
    """What happens to the server itself."""

    def kill() -> None:
        server.signal(signal.SIGKILL)

    def pause() -> None:
        server.signal(signal.SIGSTOP)

    def resume() -> None:
        server.signal(signal.SIGCONT)

    a = server.address
    return [
        Fault("down before", "kill -9 of the server before the run", kill, server.start, address=a),
        Fault(
            "down during",
            "kill -9 of the server after the first epoch",
            kill,
            server.start,
            at=EPOCH,
            address=a,
        ),
        Fault(
            "down at the end",
            "kill -9 of the server at registration",
            kill,
            server.start,
            at=REGISTRATION,
            address=a,
        ),
        Fault("hanging before", "SIGSTOP of the server before the run", pause, resume, address=a),
        Fault(
            "hanging during",
            "SIGSTOP of the server after the first epoch",
            pause,
            resume,
            at=EPOCH,
            address=a,
        ),
    ]


def sync_killed(bench: Bench, proxy: HarmfulProxy) -> Fault:
    """The syncing process dies three times on its way."""

    def kill_thrice() -> None:
        proxy.heal()
        proxy.delay_s = 0.3
        for seconds in (5.0, 7.0, 9.0):
            process = subprocess.Popen(
                [sys.executable, "-m", "modelyard", "sync", "--quiet"], env=bench.environment(proxy.address)
            )
            time.sleep(seconds)
            process.kill()
            process.wait()
        proxy.heal()

    refuse: Act = lambda: setattr(proxy, "status", 503)  # noqa: E731
    return Fault(
        "sync killed", "kill -9 of three syncs after 5, 7 and 9 s", refuse, kill_thrice, address=proxy.address
    )


@contextmanager
def full_disk(folder: Path) -> Iterator[tuple[MlflowServer, Fault]]:
    """A server whose artifacts are on a disk of 600 kB that is grown later."""
    server = MlflowServer(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(server.artifacts)], check=True)
    try:
        with server.running():
            grow = ["mount", "-o", "remount,size=64m", str(server.artifacts)]
            how = "artifacts on a tmpfs of 600 kB, later grown"
            yield (
                server,
                Fault(
                    "disk full",
                    how,
                    lambda: None,
                    lambda: subprocess.run(grow, check=True),
                    address=server.address,
                ),
            )
    finally:
        subprocess.run(["umount", str(server.artifacts)], check=False)


def rows(folder: Path, only: str) -> Iterator[Row]:
    """All faults whose name holds `only`."""
    bench, server = Bench(folder), MlflowServer(folder / "server")
    code, seconds, _ = bench.train("", "", lambda: None)
    yield Row("none, not mirrored", "the first run of a store", code, seconds, "", 0, 0, 0.0)
    with ExitStack() as stack:
        stack.enter_context(server.running())
        proxy = stack.enter_context(HarmfulProxy(server.port).running())
        yield bench.row(Fault("none", "nothing", lambda: None, lambda: None, address=server.address), server)
        for fault in (*server_faults(server), *http_faults(proxy), sync_killed(bench, proxy)):
            if only in fault.name:
                yield bench.row(fault, server)
    if os.geteuid() == 0 and only in "disk full":
        with full_disk(folder / "small") as (small, fault):
            yield bench.row(fault, small)


def main() -> int:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="faults whose name holds this")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args()
    made: list[Row] = []
    print(
        "| fault | injected how | exit of the training | its s | lost | doubled | s to "
        "recover |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(Path(folder), options.only):
            made.append(row)
            counts = (
                f"{row.training_exit} | {row.training_s:.1f} | {row.lost} | {row.doubled} | "
                f"{row.recovery_s:.1f}"
            )
            print(f"| {row.fault} | {row.how} | {counts} |", flush=True)
            if row.said:
                print("  said:", row.said, file=sys.stderr, flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in made], indent=2) + "\n")
    return int(any(row.lost or row.doubled or row.training_exit for row in made))


if __name__ == "__main__":
    sys.exit(main())
