"""Seconds of training to equal accuracy on MNIST: ours beside the loops that people start from.

    python -m benchmarks.training [--seeds 5] [--textbook-seeds 5] [--stop-after 500] [--evidence FILE]
        [--only cnn] [--textbooks lenet]

Each training is a process of its own and has the whole machine. A textbook's clock stops at the end of the
first epoch whose test accuracy reaches the target (or of its default run); ours at the end of the preset's
whole training, and counts only if its mean test accuracy over seeds reaches the target. "loop" starts with
the images in memory, "wall" with the process; both include every evaluation. From five seeds on, the fastest
and the slowest are dropped. Every training is a JSON line in FILE; what is there already is not measured
again, so that an interrupted benchmark goes on.
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
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.peers.environments import FRAMEWORKS, packages_beside
from benchmarks.textbook.evidence import Evidence, Mark, machine, mean_accuracy, ratio, spread
from benchmarks.textbook.loop import TEXTBOOKS
from modelyard.data.datasets import Dataset
from modelyard.data.packed import open_packed
from modelyard.home import Home
from modelyard.recipes.named import make_recipe
from modelyard.sources.peek import describe
from modelyard.steps.nodes import training_job
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from modelyard.steps.train import train_in_child
from modelyard.training.fits import open_fitted
from modelyard.training.fitted import Fitted, read_training


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of the table."""

    architecture: str
    textbook: str
    target: float | None
    """Test accuracy to reach; None: the textbook's mean at the end of its default run."""
    must: float = 0.0
    """The least ratio we asked of ourselves; 0: none."""

    @property
    def title(self) -> str:
        return f"{self.textbook}, {'whole run' if self.target is None else f'to {self.target:.1%}'}"


COMPARISONS = (
    Comparison("cnn", "convolutions", 0.99, 12), Comparison("cnn", "convolutions", None, 25),
    Comparison("cnn", "lenet", None), Comparison("cnn", "lightning", None), Comparison("cnn", "fastai", None),
    Comparison("rnn", "lstm_64", None, 20), Comparison("rnn", "lstm_2x256", 0.985, 8),
    Comparison("transformer", "vit", 0.985, 5), Comparison("transformer", "row_encoder", None),
)  # fmt: skip
STOP_AT = {"vit": 0.985, "lstm_2x256": 0.985}
"""Textbooks of which only the time to a target is asked."""
CANDIDATES: dict[str, dict[str, tuple[str, ...]]] = {
    "cnn": {
        "sprint": ("sprint",),
        "sprint, 5 epochs": ("sprint", "training.epochs=5"),
        "standard": ("standard",),
    },
    "rnn": {"sprint, 1 epoch": ("sprint", "training.epochs=1"), "sprint": ("sprint",)},
    "transformer": {"sprint, 4 epochs": ("sprint", "training.epochs=4"), "sprint": ("sprint",)},
}
"""Ours by name, shortest first: a preset and what `--set` changes in it."""


def textbook_command(name: str, seed: int, data: Path) -> tuple[list[str], dict[str, str]]:
    """The words and the environment of a textbook's own process."""
    words, environment = ["--data", str(data), "--seed", str(seed)], dict(os.environ)
    if name in FRAMEWORKS:
        command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.peers.{name}_loop", *words]
        beside = (str(packages_beside(name)), environment.get("PYTHONPATH", ""))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, beside))
    else:
        words += ["--stop-at", str(STOP_AT[name])] if name in STOP_AT else []
        command = [sys.executable, "-m", "benchmarks.textbook.loop", name, *words]
    return command, environment


def measure_textbook(name: str, seed: int, data: Path, evidence: Evidence, stop_after: float) -> None:
    """One training of a textbook, an epoch at a time; `stop_after` seconds (0: never) end one of those
    written here.
    """
    command, environment = textbook_command(name, seed, data)
    marks: list[Mark] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout or ():
            if line.startswith("{"):  # frameworks greet, too
                marks.append(Mark(name, seed, **json.loads(line)))
                print(f"    {marks[-1]}", file=sys.stderr, flush=True)
            if stop_after and name in TEXTBOOKS and marks and marks[-1].loop > stop_after:
                process.kill()
                break
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(command)} failed with code {process.returncode}")
    for mark in marks:
        evidence.add(mark)


def measure_ours(request: BuildRequest, home: Home, name: str, evidence: Evidence) -> None:
    """One training of ours as a run makes it; the test images are asked when the clock has stopped."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        job = training_job(request, home, out / "checkpoint.safetensors")
        began = time.perf_counter()
        train_in_child(job, out, lambda report: None)
        wall = time.perf_counter() - began
        dataset = open_packed(home.steps / request.data_step, verify=False)
        fitted, record = open_fitted(out), read_training(out)
    score = test_accuracy(fitted, dataset)
    evidence.add(Mark(name, request.seed, len(record["history"]), score, record["seconds"], wall))
    print(f"    {name} seed {request.seed}: {evidence.marks[-1]}", file=sys.stderr, flush=True)


def test_accuracy(fitted: Fitted, dataset: Dataset) -> float:
    """Share of right answers on the test images."""
    answers_N = torch.from_numpy(fitted.logits(dataset.test)).argmax(1)
    return float((answers_N == torch.from_numpy(dataset.test.labels_N)).double().mean())


def measure_run(seed: int, evidence: Evidence) -> None:
    """`modelyard run` as a user calls it, from the start of the process to the registered and verified ONNX
    file.
    """
    words = ["run", "--dataset", "mnist", "--architecture", "cnn", "--seed", str(seed), "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "modelyard", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    wall = time.perf_counter() - began
    row = json.loads(done.stdout)["board"][0]
    evidence.add(Mark("modelyard run", seed, 1, row["test %"] / 100, row["train s"], wall))
    print(f"    modelyard run seed {seed}: {evidence.marks[-1]}", file=sys.stderr, flush=True)


def measure(options: argparse.Namespace, evidence: Evidence, home: Home) -> None:
    """Everything that is not measured yet, a seed after the other, so that all rows share the machine's
    moods.
    """
    prepared = prepare("mnist", home)
    chosen = [
        row for row in COMPARISONS if row.architecture in options.only and row.textbook in options.textbooks
    ]
    for seed in range(max(options.seeds, options.textbook_seeds)):
        for architecture in dict.fromkeys(row.architecture for row in chosen):
            for title, (preset, *changes) in CANDIDATES[architecture].items() if seed < options.seeds else ():
                name = f"{architecture} {title}"
                recipe = make_recipe(architecture, preset, describe("mnist")).override(changes)
                request = BuildRequest(recipe=recipe, label=architecture, seed=seed, **prepared)
                if not evidence.of(name, seed):
                    measure_ours(request, home, name, evidence)
        if "cnn" in options.only and seed < options.seeds and not evidence.of("modelyard run", seed):
            measure_run(seed, evidence)
        for textbook in (
            dict.fromkeys(row.textbook for row in chosen) if seed < options.textbook_seeds else ()
        ):
            if not evidence.of(textbook, seed):
                measure_textbook(
                    textbook, seed, home.steps / prepared["data_step"], evidence, options.stop_after
                )


def row_of(comparison: Comparison, evidence: Evidence) -> str:
    """A line of the table: the shortest of ours whose mean reaches the accuracy, or that none does."""
    theirs, target = evidence.last(comparison.textbook), comparison.target
    stopped = target is None and is_cut_short(comparison.textbook, theirs)
    if target is None:
        target = mean_accuracy(theirs)
    else:
        reached = evidence.first_at(comparison.textbook, target)
        stopped = len(reached) < len(theirs)
        theirs = theirs if stopped else reached
    seconds = f"{spread([mark.loop for mark in theirs])} s, {mean_accuracy(theirs):.2%} (n={len(theirs)})"
    told = f"| {comparison.title} | {'not there after ' * stopped}{seconds} |"
    for title in CANDIDATES[comparison.architecture]:
        ours = evidence.last(f"{comparison.architecture} {title}")
        if ours and mean_accuracy(ours) >= target:
            ours_told = (
                f"{title}: {spread([mark.loop for mark in ours])} s, {mean_accuracy(ours):.2%} "
                f"(n={len(ours)})"
            )
            loop, wall = (
                f"{'over ' * stopped}{middle:.1f} ({low:.1f}-{high:.1f})x"
                for middle, low, high in (ratio(theirs, ours), ratio(theirs, ours, "wall"))
            )
            return f"{told} {ours_told} | {loop} | {wall} | {comparison.must or ''} |"
    return f"{told} none of ours reaches {target:.2%} | | | {comparison.must or ''} |"


def is_cut_short(textbook: str, theirs: list[Mark]) -> bool:
    """Whether some training ended before the textbook's own number of epochs (`--stop-after`)."""
    return textbook in TEXTBOOKS and any(mark.epoch < TEXTBOOKS[textbook].epochs for mark in theirs)


def table(evidence: Evidence) -> str:
    """Markdown."""
    lines = ["| textbook | it | ours | loop clock | process clock | asked |", "|---|---|---|---|---|---|"]
    lines += [row_of(row, evidence) for row in COMPARISONS if evidence.seeds(row.textbook)]
    if runs := evidence.last("modelyard run"):
        told = f"{spread([mark.wall for mark in runs])} s, {mean_accuracy(runs):.2%} (n={len(runs)})"
        lines.append(
            f"\n`modelyard run --dataset mnist --architecture cnn`, start to registered ONNX: {told}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each preset of ours")
    parser.add_argument(
        "--textbook-seeds", type=int, default=5, help="trainings of each textbook; 0: only ours"
    )
    parser.add_argument("--only", nargs="+", default=["cnn", "rnn", "transformer"], help="architectures")
    parser.add_argument(
        "--textbooks", nargs="+", default=[row.textbook for row in COMPARISONS], help="default: all"
    )
    parser.add_argument(
        "--stop-after", type=float, default=0, help="seconds after whose epoch a textbook ends; 0: never"
    )
    parser.add_argument("--evidence", type=Path, default=Path("training-benchmark.jsonl"))
    options = parser.parse_args()
    evidence = Evidence(options.evidence)
    print(
        f"{time.strftime('%Y-%m-%d')}, {machine()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MODELYARD_HOME": f"{folder}/runs"}
        measure(options, evidence, Home(Path(folder) / "runs"))
    print(table(evidence))


if __name__ == "__main__":
    main()
