"""Where the time of a whole run goes, and what orchestration and tracking cost beside the work itself.

    python benchmarks/pipeline.py [--dataset digits] [--preset smoke]

Three runs on an empty store: cold (everything is made), warm (another seed) and nothing to do; then the
trainings of the warm run once more as bare processes, with neither Prefect nor MLflow. "Work" is the sum of
training, evaluation and export; the rest of the wall time is orchestration, tracking, data and imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from modelyard.home import Home
from modelyard.recipes.named import named
from modelyard.recipes.words import Words
from modelyard.steps.nodes import training_job
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.train import train_in_child

WORK = ("training", "evaluation", "export and parity")


def timed_run(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """One `modelyard run`; the seconds between its progress lines belong to the step that was named last."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "modelyard", "run", "--json", *arguments]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    stages: dict[str, float] = {}
    current, since = "start (imports, Prefect's server, data)", start
    for line in process.stderr or ():
        words = line.split(None, 1)
        name = words[1].split(" ...")[0].split(":")[0].strip() if len(words) > 1 else ""
        if name in (*WORK, "registration"):
            now = time.perf_counter()
            stages[current] = stages.get(current, 0) + now - since
            current, since = name, now
    if process.stdout is not None:
        process.stdout.read()
    if (code := process.wait()) != 0:
        raise SystemExit(f"modelyard run failed with code {code}")
    end = time.perf_counter()
    stages[current] = stages.get(current, 0) + end - since
    return {"wall": end - start, "stages": stages}


def bare_seconds(dataset: str, preset: str, seed: int, home: Home) -> float:
    """The same trainings on the same packed data, each in its process as in a run, with nothing
    around them.
    """
    prepared = prepare(dataset, home)
    start = time.perf_counter()
    for label, recipe in named(Words(dataset=dataset, preset=preset)).items():
        request = BuildRequest(recipe=recipe, label=label, seed=seed, **prepared)
        with tempfile.TemporaryDirectory() as folder:
            job = training_job(request, home, Path(folder) / "checkpoint.safetensors")
            train_in_child(job, Path(folder), lambda report: None)
    return time.perf_counter() - start


def report(name: str, result: dict[str, Any]) -> None:
    """The stages of one run, largest first."""
    work = sum(result["stages"].get(stage, 0.0) for stage in WORK)
    print(f"{name}: {result['wall']:.1f} s, of which not work {result['wall'] - work:.1f} s")
    for stage, seconds in sorted(result["stages"].items(), key=lambda pair: -pair[1]):
        print(f"    {seconds:7.1f} s  {stage}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--preset", default="smoke")
    options = parser.parse_args()
    arguments = ["--dataset", options.dataset, "--preset", options.preset]
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MODELYARD_HOME": f"{folder}/runs", "MODELYARD_CACHE": f"{folder}/cache"}
        environment = dict(os.environ)
        print(f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, {options.dataset}, {options.preset}")
        results: dict[str, dict[str, Any]] = {}
        for name, extra in (("cold", []), ("warm, another seed", ["--seed", "1"]), ("nothing to do", [])):
            results[name] = timed_run([*arguments, *extra], environment)
            report(name, results[name])
        bare = bare_seconds(options.dataset, options.preset, 1, Home(Path(folder) / "runs"))
        inside = results["warm, another seed"]["stages"]["training"]
        print(
            f"bare trainings of the warm run: {bare:.1f} s; inside it they took {inside:.1f} s, "
            f"{inside / bare:.2f}x"
        )


if __name__ == "__main__":
    main()
