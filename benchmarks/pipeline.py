"""Where the time of a whole run goes, and what orchestration and tracking cost beside the work itself.

    python benchmarks/pipeline.py [--dataset digits] [--preset smoke]

Three runs on an empty store: cold (everything is made), warm (another seed) and nothing to do. "Work" is the sum
of data, training, evaluation and export; the rest of the wall time is orchestration, tracking and imports.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORK = ("training", "evaluation", "export and parity")


def timed_run(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """One `modelyard run`; the seconds between its progress lines belong to the step that was named last."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "modelyard", "run", "--json", *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    stages: dict[str, float] = {}
    current, since = "start (imports, Prefect's server, data)", start
    for line in process.stderr or ():
        words = line.split(None, 1)
        name = words[1].split(" ...")[0].split(":")[0].strip() if len(words) > 1 else ""
        if name in (*WORK, "registration"):
            now = time.perf_counter()
            stages[current] = stages.get(current, 0) + now - since
            current, since = name, now
    output, code = process.stdout.read() if process.stdout else "", process.wait()
    if code:
        raise SystemExit(f"modelyard run failed with code {code}")
    end = time.perf_counter()
    stages[current] = stages.get(current, 0) + end - since
    loop = sum(row["train s"] for row in json.loads(output)["board"])
    return {"wall": end - start, "stages": stages, "loop": loop}


def report(name: str, result: dict[str, Any]) -> None:
    """The stages of one run, largest first."""
    work = sum(result["stages"].get(stage, 0.0) for stage in WORK)
    print(f"{name}: {result['wall']:.1f} s, of which not work {result['wall'] - work:.1f} s; bare loop {result['loop']:.1f} s")
    for stage, seconds in sorted(result["stages"].items(), key=lambda pair: -pair[1]):
        print(f"    {seconds:7.1f} s  {stage}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--preset", default="smoke")
    options = parser.parse_args()
    arguments = ["--dataset", options.dataset, "--preset", options.preset]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "MODELYARD_HOME": str(Path(folder) / "runs"),
            "MODELYARD_CACHE": str(Path(folder) / "cache"),
        }
        print(f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, {options.dataset}, {options.preset}")
        for name, extra in (("cold", []), ("warm, another seed", ["--seed", "1"]), ("nothing to do", [])):
            report(name, timed_run([*arguments, *extra], environment))


if __name__ == "__main__":
    main()
