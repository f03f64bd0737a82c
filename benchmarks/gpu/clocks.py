"""Seconds to an accuracy: ours in a fresh process and in a warm one, and the loops that people start from."""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from benchmarks.gpu.part import LEAST_SECONDS, Bench, apart, ended
from benchmarks.gpu.right import equal
from benchmarks.gpu.trainings import Training, any_kernels, recipe_of
from benchmarks.textbook.evidence import spread
from modelyard.steps.train import train_in_child

TARGETS = {"cnn": 0.99, "rnn": 0.985, "transformer": 0.985}
SEEDS, WARM_SEEDS = 5, 3
WARMING = (
    "training.epochs=2",
    "training.min_steps=0",
    "training.precision=fp32",
    "training.max_train_images=12800",
)
"""Changes of a training that is run so that the next finds CUDA started and kernels chosen."""
SHORT = ("training.epochs=1", "training.precision=fp32")
"""Of a dry run."""
TEXTBOOKS = {
    "convolutions": 0.99,
    "lstm_2x256": 0.985,
    "vit": 0.985,
    "lstm_64": 0.985,
    "row_encoder": 0.985,
    "lenet": 0.99,
}
TEXTBOOK_SECONDS = 20.0
"""After which one is stopped, by its own clock."""
START_SECONDS = 9.0
"""Of a process, before that clock."""
STARTS = {
    "python": "",
    "and torch": "import torch",
    "and CUDA": "import torch; torch.zeros(1, device='cuda').item()",
    "python and all that a training imports": "import modelyard.steps.train",
}


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
            if bench.is_dry:  # the imports of another process would be a third of a dry run
                ended(apart(training.run))
            else:
                train_in_child(training.job, training.out, lambda report: None)
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
    """The loop's clock where CUDA has started and kernels are chosen: one process, a short
    training before.
    """
    for preset, architecture in itertools.product(
        ("sprint",) if bench.is_dry else ("sprint", "standard"), bench.architectures
    ):
        seeds, title = Seeds(), f"{architecture} {preset}"
        with bench.case(title):
            for seed in range(1 if bench.is_dry else WARM_SEEDS):
                expected = max(seeds.loops, default=10.0)
                if not bench.is_dry and bench.seconds_left < 1.3 * expected + 2:
                    break
                if not seed:
                    Training.of(
                        bench, f"warming {title}", recipe_of(bench, architecture, preset, WARMING)
                    ).run()
                recipe = recipe_of(bench, architecture, preset, SHORT if bench.is_dry else ())
                training = Training.of(bench, f"warm {title} {seed}", recipe, seed=seed)
                training.run()
                seeds.loops.append(training.record["seconds"])
                seeds.scores.append(training.accuracy(bench.device))
        seeds.summarise(bench, title, TARGETS[architecture])


def starts(bench: Bench) -> None:
    """Seconds of a process before a training begins in it: what each import and the start of CUDA add."""
    for title, code in list(STARTS.items())[: 1 if bench.is_dry else None]:
        with bench.case(title):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
            bench.note(title, s=time.perf_counter() - began)


def deterministic(bench: Bench) -> None:
    """What deterministic kernels cost: whole sprints of one seed, twice each, in a warm process with and one
    without them.
    """
    for architecture, is_deterministic in itertools.product(bench.architectures, (True, False)):
        kernels = "deterministic" if is_deterministic else "any"
        if bench.seconds_left < LEAST_SECONDS:
            break
        with bench.case(f"{architecture}, {kernels}"):
            work = functools.partial(_twice, bench, architecture, kernels)
            ended(apart(work), within=max(1.0, bench.seconds_left - 2))


def _twice(bench: Bench, architecture: str, kernels: str) -> None:
    fp32 = SHORT if bench.is_dry else ("training.precision=fp32",)
    warming, recipe = (recipe_of(bench, architecture, "sprint", changes) for changes in (WARMING, fp32))
    pair = [Training.of(bench, f"price {number} {architecture} {kernels}", recipe) for number in range(2)]
    with nullcontext() if kernels == "deterministic" else any_kernels():
        Training.of(bench, f"warming {architecture} {kernels}", warming).run()
        for training in pair:
            training.run()
    bench.note(
        f"{architecture}, {kernels}",
        loop=f"{spread([training.record['seconds'] for training in pair], 2)} s",
        accuracies=[training.accuracy(bench.device) for training in pair],
        weights=equal(*pair),
    )


def textbook(bench: Bench, name: str) -> None:
    """One training, stopped at its target or by the clock; in a dry run an epoch of the fastest."""
    if bench.is_dry and name != "lenet":
        return
    began, target = time.monotonic(), TEXTBOOKS[name]
    marks = _here(bench, name) if bench.is_dry else _marks(bench, name, target)
    stopped = {"target": target, "stopped_after_s": time.monotonic() - began}
    if not marks:
        bench.note(name, reached=False, told="no epoch ended", **stopped)
        return
    epoch, accuracy, loop_s, process_s = (marks[-1][key] for key in ("epoch", "accuracy", "loop", "wall"))
    bench.note(
        name,
        reached=accuracy >= target,
        epochs=epoch,
        accuracy=accuracy,
        loop_s=loop_s,
        process_s=process_s,
        **stopped,
    )


def _here(bench: Bench, name: str) -> list[dict[str, float]]:
    """An epoch in this process."""
    from benchmarks.textbook.loop import marks

    return list(
        marks(
            argparse.Namespace(name=name, data=bench.data, seed=0, epochs=1, stop_at=2.0, device=bench.device)
        )
    )


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
