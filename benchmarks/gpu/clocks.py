"""Seconds to an accuracy: ours in a fresh process and in a warm one, and the loops that people start from."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.gpu.part import Bench
from benchmarks.gpu.trainings import Training, recipe_of
from benchmarks.textbook.evidence import spread
from modelyard.training.job import run_job_in_subprocess

TARGETS = {"cnn": 0.99, "rnn": 0.985, "transformer": 0.985}
SEEDS = 5
SHORT = ("training.epochs=1", "training.precision=fp32")
"""Of a dry run."""
TEXTBOOKS = {"convolutions": 0.99, "lstm_2x256": 0.985, "vit": 0.985, "lstm_64": 0.985, "row_encoder": 0.985, "lenet": 0.99}
TEXTBOOK_SECONDS = 20.0
"""After which one is stopped, by its own clock."""
START_SECONDS = 6.0
"""Of a process, before that clock."""


@dataclass(slots=True)
class Seeds:
    """What several seeds of one training came to."""

    loops: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)
    """Of processes; empty where all ran in one."""
    scores: list[float] = field(default_factory=list)

    def summarise(self, bench: Bench, name: str, target: float) -> None:
        """Mean, least and most."""
        if not self.loops:
            return
        mean = statistics.mean(self.scores)
        process = {"process": f"{spread(self.walls, 2)} s"} if self.walls else {}
        accuracy = f"{mean:.2%} ({min(self.scores):.2%}-{max(self.scores):.2%})"
        bench.note(
            f"{name}, {len(self.loops)} seeds", loop=f"{spread(self.loops, 2)} s", **process,
            accuracy=accuracy, target=f"{target:.1%}", reached=mean >= target,
        )  # fmt: skip


def fresh(bench: Bench) -> None:
    """`sprint`, each training a process of its own as `modelyard run` starts it; seeds in turn."""
    found = {architecture: Seeds() for architecture in bench.architectures}
    longest = 0.0
    for seed, architecture in itertools.product(range(1 if bench.is_dry else SEEDS), bench.architectures):
        if bench.seconds_left < 1.3 * longest + 1:
            break
        with bench.case(f"{architecture} seed {seed}"):
            recipe = recipe_of(bench, architecture, "sprint", SHORT if bench.is_dry else ())
            training = Training.of(bench, f"fresh {architecture} {seed}", recipe, seed=seed)
            began = time.perf_counter()
            run_job_in_subprocess(training.job, training.out, lambda report: None)
            wall = time.perf_counter() - began
            record, score, longest = training.record, training.accuracy("cpu"), max(longest, wall)
            found[architecture].loops.append(record["seconds"])
            found[architecture].walls.append(wall)
            found[architecture].scores.append(score)
            bench.note(
                f"{architecture} seed {seed}", loop_s=record["seconds"], process_s=wall, accuracy=score,
                precision=record["precision"], epochs=len(record["history"]),
            )  # fmt: skip
    for architecture, seeds in found.items():
        seeds.summarise(bench, f"{architecture} sprint", TARGETS[architecture])


def warm(bench: Bench) -> None:
    """The loop's clock where CUDA has started and kernels are chosen: one process, the first training not counted."""
    for preset, architecture in itertools.product(("sprint",) if bench.is_dry else ("sprint", "standard"), bench.architectures):
        seeds = Seeds()
        with bench.case(f"{architecture} {preset}"):
            recipe = recipe_of(bench, architecture, preset, SHORT if bench.is_dry else ())
            for seed in range(-1, 1 if bench.is_dry else SEEDS):
                if bench.seconds_left < 1.3 * max(seeds.loops, default=0.0) + 2:
                    break
                training = Training.of(bench, f"warm {preset} {architecture} {seed}", recipe, seed=max(seed, 0))
                training.run()
                if seed >= 0:
                    seeds.loops.append(training.record["seconds"])
                    seeds.scores.append(training.accuracy(bench.device))
        seeds.summarise(bench, f"{architecture} {preset}", TARGETS[architecture])


def textbooks(bench: Bench) -> None:
    """One training each, stopped at its target or by the clock."""
    _read(bench, ["lenet"] if bench.is_dry else list(TEXTBOOKS)[:3])


def other_textbooks(bench: Bench) -> None:
    """Those whose time to a target nobody asked for."""
    _read(bench, [] if bench.is_dry else list(TEXTBOOKS)[3:])


def _read(bench: Bench, names: list[str]) -> None:
    for name in names:
        with bench.case(name):
            if bench.seconds_left < 5:
                bench.note(name, dropped="no seconds left")
                continue
            began, target = time.monotonic(), TEXTBOOKS[name]
            marks = _here(bench, name) if bench.is_dry else _marks(bench, name, target)
            stopped = {"target": target, "stopped_after_s": time.monotonic() - began}
            if not marks:
                bench.note(name, reached=False, told="no epoch ended", **stopped)
                continue
            epoch, accuracy, loop_s, process_s = (marks[-1][key] for key in ("epoch", "accuracy", "loop", "wall"))
            bench.note(
                name, reached=accuracy >= target, epochs=epoch, accuracy=accuracy, loop_s=loop_s, process_s=process_s, **stopped
            )


def _here(bench: Bench, name: str) -> list[dict[str, float]]:
    """An epoch in this process."""
    from benchmarks.textbook.loop import marks

    return list(marks(argparse.Namespace(name=name, data=bench.data, seed=0, epochs=1, stop_at=2.0, device=bench.device)))


def _marks(bench: Bench, name: str, target: float) -> list[dict[str, float]]:
    """The epochs of a process of its own, stopped by its clock."""
    words = [name, "--data", str(bench.data), "--stop-at", str(target), "--device", bench.device]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.textbook.loop", *words]
    marks: list[dict[str, float]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:

        def stop() -> None:
            with suppress(ProcessLookupError):  # its loader, too, which would hold the pipe open for seconds
                os.killpg(process.pid, signal.SIGKILL)

        watch = threading.Timer(min(TEXTBOOK_SECONDS + START_SECONDS, bench.seconds_left - 1), stop)
        watch.start()
        for line in process.stdout or ():
            marks.append(json.loads(line))
            if marks[-1]["loop"] > TEXTBOOK_SECONDS:
                stop()
        watch.cancel()
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{' '.join(command)} ended with code {process.returncode}")
    return marks
