"""What a sweep costs beside its trainings, and whether everything that it did is recorded.

    python -m benchmarks.sweep [--seeds 0-19] [--only cost|together] [--short]

Cost: the wall time of `modelyard sweep -d digits --seeds 0-19 --preset smoke --runner local --workers 2` over
the summed seconds of the same trainings as bare processes, divided by the workers. A bare training is `python
-m modelyard.steps.train` on the data that the sweep packed, with the sweep's number of threads, without
Prefect, MLflow and device locks; each imports torch anew, as every training of a `run` does. A sample of
three seeds is trained so, as many at a time as the sweep has workers, before and after the sweep, and the
mean of both is scaled to all seeds. What the sweep itself needs to start and to end counts as its wall time.

Records: each training has to be one FINISHED run in MLflow with the recipe's parameters and every epoch that
its `training.json` has, and one Completed task run in Prefect; counted for that sweep, and for three that run
at once, each with seeds of its own (with --short: two epochs of 300 images, so that records come many times
as fast). Exit code 1 when a record is missing or doubled.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from modelyard.home import Home
from modelyard.machine.cores import usable_cores
from modelyard.recipes.named import named
from modelyard.recipes.words import Words
from modelyard.steps.nodes import train_node, training_job
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.train import train_in_child
from modelyard.sweeps.request import parse_seeds
from modelyard.tracking.runs import KEY_TAG
from modelyard.tracking.store import open_store
from modelyard.training.fitted import read_history

WORKERS, SAMPLE, TOGETHER = 2, 3, 3
SHORT = ("training.epochs=2", "training.min_steps=0", "training.max_train_images=300")
CURVES = {
    "train/loss": "train_loss",
    "validation/loss": "validation_loss",
    "validation/epoch_accuracy": "validation_accuracy",
    "train/learning_rate": "learning_rate",
    "train/epoch_seconds": "seconds",
    "validation/calibrated_loss": "calibrated_loss",
}
FINALS = {"validation/accuracy", "validation/nll", "train/seconds"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A sweep over every architecture of `digits`."""

    name: str
    seeds: tuple[int, ...]
    assignments: tuple[str, ...] = ()

    def builds(self, home: Home) -> list[BuildRequest]:
        """Its trainings."""
        prepared, cores = prepare("digits", home), max(1, usable_cores() // WORKERS)
        words = Words(dataset="digits", preset="smoke", assignments=tuple(self.assignments))
        return [
            BuildRequest(recipe=recipe, label=label, seed=seed, cores=cores, **prepared)
            for label, recipe in named(words).items()
            for seed in self.seeds
        ]

    def start(self) -> subprocess.Popen[bytes]:
        """The real command, in the background."""
        words = [
            "sweep",
            "-d",
            "digits",
            "--preset",
            "smoke",
            "--runner",
            "local",
            "--workers",
            str(WORKERS),
            "--json",
        ]
        words += ["--name", self.name, "--seeds", ",".join(map(str, self.seeds))]
        words += [word for assignment in self.assignments for word in ("--set", assignment)]
        return subprocess.Popen(
            [sys.executable, "-m", "modelyard", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


def bare_seconds(home: Home, builds: list[BuildRequest]) -> float:
    """The summed seconds of bare trainings, `WORKERS` of them at a time."""

    def train(build: BuildRequest) -> float:
        with tempfile.TemporaryDirectory() as folder:
            job, start = (
                training_job(build, home, Path(folder) / "checkpoint.safetensors"),
                time.perf_counter(),
            )
            train_in_child(job, Path(folder), lambda report: None)
            return time.perf_counter() - start

    with ThreadPoolExecutor(WORKERS) as pool:
        return sum(pool.map(train, builds))


def missing_in_mlflow(home: Home, name: str, builds: list[BuildRequest]) -> Iterator[str]:
    """What MLflow lacks of a sweep, a line for each training that is not recorded once and wholly."""
    client, experiment = open_store(home)
    for build in builds:
        key = f"sweep-{name}-{train_node(build).key}"
        found = client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'")
        if [run.info.status for run in found] != ["FINISHED"]:
            yield f"{name} {build.label} {build.seed}: MLflow runs {[run.info.status for run in found]}"
            continue
        data, history = found[0].data, read_history(train_node(build).folder(home))
        wanted = build.recipe.made_flat() | {
            "architecture": build.label,
            "dataset": build.dataset,
            "seed": build.seed,
        }
        if data.params != {key: str(value) for key, value in wanted.items() if value is not None}:
            yield f"{name} {build.label} {build.seed}: other parameters"
        for curve, field in CURVES.items():
            points = [
                (point.step, point.value) for point in client.get_metric_history(found[0].info.run_id, curve)
            ]
            if sorted(points) != [(epoch.epoch, getattr(epoch, field)) for epoch in history]:
                yield (
                    f"{name} {build.label} {build.seed}: {curve} has {len(points)} points, the training "
                    f"{len(history)}"
                )
        if not data.metrics.keys() >= FINALS:
            yield f"{name} {build.label} {build.seed}: lacks {sorted(FINALS - data.metrics.keys())}"


def missing_in_prefect(home: Home, name: str, builds: list[BuildRequest]) -> Iterator[str]:
    """The same of Prefect's database: one Completed flow run, and in it one Completed task run for each
    training.
    """
    query = (
        "SELECT task_run.name, task_run.state_type FROM task_run JOIN flow_run ON flow_run.id "
        "= task_run.flow_run_id"
        " WHERE flow_run.name = ?"
    )
    with closing(sqlite3.connect(f"file:{home.prefect / 'prefect.db'}?mode=ro", uri=True)) as database:
        flows = database.execute(
            "SELECT state_type FROM flow_run WHERE name = ?", [f"sweep {name}"]
        ).fetchall()
        tasks = Counter(database.execute(query, [f"sweep {name}"]).fetchall())
    if flows != [("COMPLETED",)]:
        yield f"{name}: Prefect's flow runs {flows}"
    wanted = {f"train {build.label} seed {build.seed}" for build in builds}
    for task in sorted(wanted):
        if (found := {state: count for (name_, state), count in tasks.items() if name_ == task}) != {
            "COMPLETED": 1
        }:
            yield f"{name}: Prefect's task runs of {task!r}: {found}"


def count_records(home: Home, name: str, builds: list[BuildRequest]) -> bool:
    """Print how many trainings of a sweep are recorded wholly; False when one is not."""
    missing = [*missing_in_mlflow(home, name, builds), *missing_in_prefect(home, name, builds)]
    for line in missing:
        print("  !", line)
    print(f"{name}: {len(builds)} trainings, {len(missing)} records missing or doubled in MLflow and Prefect")
    return not missing


def measure_cost(home: Home, asked: Asked) -> bool:
    """One sweep between two bare samples."""
    builds = asked.builds(home)
    sample = [build for build in builds if build.seed in asked.seeds[:SAMPLE]]
    bare_seconds(
        home, [build for build in sample if build.seed == asked.seeds[0]]
    )  # not counted: the first probe the CPU
    before, start = bare_seconds(home, sample), time.perf_counter()
    code = asked.start().wait()
    wall = time.perf_counter() - start
    after = bare_seconds(home, sample)
    bare = (before + after) / 2 * len(builds) / len(sample)
    inside = sum(epoch.seconds for build in builds for epoch in read_history(train_node(build).folder(home)))
    print(
        f"bare: {len(sample)} trainings {before:.1f} s before and {after:.1f} s after; all "
        f"{len(builds)}: {bare:.1f} s"
    )
    print(
        f"sweep: {wall:.1f} s wall, exit code {code}; over the bare sum by {WORKERS} workers: "
        f"{wall * WORKERS / bare:.2f}x"
    )
    print(
        f"its epochs alone: {inside:.1f} s summed; wall over them by {WORKERS} workers: "
        f"{wall * WORKERS / inside:.2f}x"
    )
    return count_records(home, asked.name, builds) and code == 0


def run_together(home: Home, sweeps: list[Asked]) -> bool:
    """Sweeps at once."""
    start = time.perf_counter()
    codes = [process.wait() for process in [asked.start() for asked in sweeps]]
    print(f"{len(sweeps)} sweeps at once: {time.perf_counter() - start:.1f} s, exit codes {codes}")
    whole = [count_records(home, asked.name, asked.builds(home)) for asked in sweeps]
    return all(whole) and not any(codes)


def main() -> None:
    """In a store of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="0-19")
    parser.add_argument("--only", choices=("cost", "together"))
    parser.add_argument(
        "--short", action="store_true", help="In the sweeps at once: two epochs of 300 images."
    )
    options = parser.parse_args()
    seeds, short = parse_seeds(options.seeds), SHORT if options.short else ()
    sweeps = [
        Asked(f"together-{place}", tuple(1000 * place + seed for seed in seeds), short)
        for place in range(TOGETHER)
    ]
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MODELYARD_HOME": f"{folder}/runs", "MODELYARD_CACHE": f"{folder}/cache"}
        home, load = Home.current(), "/".join(f"{load:.1f}" for load in os.getloadavg())
        print(
            f"{usable_cores()} cores (load before: {load}), {time.strftime('%Y-%m-%d')}, digits, "
            f"smoke, seeds {options.seeds}"
        )
        whole = options.only == "together" or measure_cost(home, Asked("cost", seeds))
        whole &= options.only == "cost" or run_together(home, sweeps)
    if not whole:
        sys.exit(1)


if __name__ == "__main__":
    main()
