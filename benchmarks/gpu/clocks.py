"""Seconds to an accuracy: ours in a fresh process and in a warm one, and the loops that people start from."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time

from benchmarks.gpu.part import Bench
from benchmarks.gpu.trainings import Training, recipe_of
from benchmarks.textbook.evidence import spread
from modelyard.recipes import ARCHITECTURES
from modelyard.training.job import run_job_in_subprocess

TARGETS = {"cnn": 0.99, "rnn": 0.985, "transformer": 0.985}
SEEDS = 5
TEXTBOOKS = {"convolutions": 0.99, "lstm_2x256": 0.985, "vit": 0.985, "lstm_64": 0.985, "row_encoder": 0.985, "lenet": 0.99}
TEXTBOOK_SECONDS = 20.0
"""After which one is stopped, by its own clock."""


def fresh(bench: Bench) -> None:
    """`sprint`, each training a process of its own as `modelyard run` starts it; seeds in turn."""
    loops, walls, scores = ({name: [] for name in ARCHITECTURES} for _ in range(3))  # type: dict[str, list[float]]
    longest = 0.0
    for seed in range(1 if bench.is_dry else SEEDS):
        for architecture in bench.architectures:
            if bench.seconds_left < 1.3 * longest + 1:
                break
            with bench.case(f"{architecture} seed {seed}"):
                changes = ["training.epochs=1", "training.precision=fp32"] if bench.is_dry else []
                training = Training.of(bench, f"fresh {architecture} {seed}", recipe_of(bench, architecture, "sprint", changes), seed=seed)
                began = time.perf_counter()
                run_job_in_subprocess(training.job, training.out, lambda report: None)
                wall = time.perf_counter() - began
                record, score, longest = training.record, training.accuracy("cpu"), max(longest, wall)
                loops[architecture].append(record["seconds"])
                walls[architecture].append(wall)
                scores[architecture].append(score)
                bench.note(f"{architecture} seed {seed}", loop_s=record["seconds"], process_s=wall, accuracy=score,
                           precision=record["precision"], epochs=len(record["history"]))
    for architecture, target in TARGETS.items():
        if loops[architecture]:
            summarise(bench, f"{architecture} sprint", scores[architecture], target, loops[architecture], walls[architecture])


def warm(bench: Bench) -> None:
    """The loop's clock where CUDA has started and kernels are chosen: one process, the first training not counted."""
    presets = ("sprint",) if bench.is_dry else ("sprint", "standard")
    for preset in presets:
        for architecture in bench.architectures:
            loops: list[float] = []
            scores: list[float] = []
            with bench.case(f"{architecture} {preset}"):
                for seed in range(-1, 1 if bench.is_dry else SEEDS):
                    if bench.seconds_left < 1.3 * max(loops, default=0.0) + 2:
                        break
                    changes = ["training.epochs=1", "training.precision=fp32"] if bench.is_dry else []
                    recipe = recipe_of(bench, architecture, preset, changes)
                    training = Training.of(bench, f"warm {preset} {architecture} {seed}", recipe, seed=max(seed, 0))
                    training.run()
                    if seed >= 0:
                        loops.append(training.record["seconds"])
                        scores.append(training.accuracy(bench.device))
            if loops:
                summarise(bench, f"{architecture} {preset}", scores, TARGETS[architecture], loops)


def summarise(bench: Bench, name: str, scores: list[float], target: float, loops: list[float], walls: list[float] | None = None) -> None:
    """Mean, least and most of the seeds."""
    mean = statistics.mean(scores)
    process = {"process": f"{spread(walls, 2)} s"} if walls else {}
    bench.note(
        f"{name}, {len(loops)} seeds", loop=f"{spread(loops, 2)} s", **process,
        accuracy=f"{mean:.2%} ({min(scores):.2%}-{max(scores):.2%})", target=f"{target:.1%}", reached=mean >= target,
    )  # fmt: skip


def textbooks(bench: Bench) -> None:
    """One training each, stopped at its target or by the clock."""
    _read(bench, ["lenet"] if bench.is_dry else list(TEXTBOOKS)[:3])


def other_textbooks(bench: Bench) -> None:
    """Those whose time to a target nobody asked for."""
    _read(bench, [] if bench.is_dry else list(TEXTBOOKS)[3:])


def _read(bench: Bench, names: list[str]) -> None:
    for name in names:
        if bench.seconds_left < 5:
            bench.note(name, dropped="no seconds left")
            continue
        with bench.case(name):
            bench.note(name, **_textbook(bench, name, TEXTBOOKS[name]))


def _textbook(bench: Bench, name: str, target: float) -> dict[str, object]:
    words = [name, "--data", str(bench.data), "--stop-at", str(target), "--device", bench.device]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.textbook.loop", *words, *(["--epochs", "1"] if bench.is_dry else [])]
    marks, began = [], time.monotonic()
    ends = min(began + TEXTBOOK_SECONDS + 6, bench.ends - 1)  # six for its start
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch = threading.Timer(ends - began, process.kill)
        watch.start()
        for line in process.stdout or ():
            marks.append(json.loads(line))
            if marks[-1]["loop"] > TEXTBOOK_SECONDS:
                process.kill()
        watch.cancel()
    if not marks:
        return {"reached": False, "told": f"no epoch ended in {time.monotonic() - began:.0f} s; code {process.returncode}"}
    last = marks[-1]
    return {"reached": last["accuracy"] >= target, "target": target, "epochs": last["epoch"], "accuracy": last["accuracy"],
            "loop_s": last["loop"], "process_s": last["wall"], "stopped_after_s": time.monotonic() - began}
