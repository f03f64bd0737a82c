"""Is a training that was killed at random moments the training that was not? And what do its checkpoints
cost?

    python -m benchmarks.resume [--dataset digits] [--presets sprint standard] [--kills 3]
    python -m benchmarks.resume --dataset fashion-mnist --presets quality --set training.max_train_images=1000

For each architecture and preset one training runs to its end. A second one gets SIGKILL at random moments, is
started again each time and runs to its end. Their weight files must be equal, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from modelyard.home import Home
from modelyard.recipes.named import ARCHITECTURES, named
from modelyard.recipes.words import Words
from modelyard.steps.nodes import training_job
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from modelyard.training.fitted import RESULT_FILE, WEIGHTS_FILE
from modelyard.training.job import JOB_FILE, TrainJob


def start(job: TrainJob, out: Path) -> subprocess.Popen[str]:
    """The training in its own process, as a run starts it."""
    out.mkdir(exist_ok=True)
    (out / JOB_FILE).write_text(job.model_dump_json())
    command = [sys.executable, "-m", "modelyard.steps.train", str(out.parent)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    print(out, file=process.stdin, flush=True)
    return process


def finish(job: TrainJob, out: Path) -> float:
    """Run to the end; seconds."""
    began = time.perf_counter()
    process = start(job, out)
    process.communicate()
    if process.returncode:
        raise SystemExit(f"training failed with code {process.returncode}; see {out}")
    return time.perf_counter() - began


def kill_at_random(job: TrainJob, out: Path, kills: int, seconds: float, draw: random.Random) -> list[int]:
    """SIGKILL `kills` times, each at a random moment after the first epoch's report or before; epochs seen by
    each process.
    """
    seen = []
    for _ in range(kills):
        process = start(job, out)
        time.sleep(draw.uniform(0.3, 0.95) * seconds)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        seen.append(len(process.communicate()[0].splitlines()))
    return seen


def main() -> int:
    """Train, kill, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--presets", nargs="+", default=["sprint", "standard"])
    parser.add_argument("--architecture", "-a", action="append", default=[], help="default: all three")
    parser.add_argument("--set", action="append", default=[], help="change a recipe value")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the trainings and of the moments")
    options = parser.parse_args()
    draw, differences = random.Random(options.seed), 0
    wanted = options.architecture or list(ARCHITECTURES)
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "runs")
        prepared = prepare(options.dataset, home)
        for preset in options.presets:
            words = Words(
                dataset=options.dataset,
                architectures=tuple(wanted),
                preset=preset,
                assignments=tuple(options.set),
            )
            for label, recipe in named(words).items():
                request = BuildRequest(recipe=recipe, label=label, seed=options.seed, **prepared)
                folder = Path(name) / f"{label}-{preset}"
                folder.mkdir()
                jobs = [
                    training_job(request, home, folder / f"{which}.safetensors")
                    for which in ("whole", "killed")
                ]
                seconds = finish(jobs[0], folder / "whole")
                seen = kill_at_random(jobs[1], folder / "killed", options.kills, seconds, draw)
                finish(jobs[1], folder / "killed")
                same = (folder / "whole" / WEIGHTS_FILE).read_bytes() == (
                    folder / "killed" / WEIGHTS_FILE
                ).read_bytes()
                record = json.loads((folder / "whole" / RESULT_FILE).read_text())
                share = record["checkpoint_seconds"] / record["seconds"]
                differences += not same
                print(
                    f"{label:12} {preset:9} {seconds:6.1f} s, killed after epochs {seen} of "
                    f"{len(record['history'])}:"
                    f" {'equal' if same else 'DIFFERENT'}; checkpoints {share:.2%} of the time",
                    flush=True,
                )
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main())
