"""Is what a GPU trains right? Each training is a process, so that CUDA starts anew and one can be killed."""

from __future__ import annotations

import functools
import itertools
import math
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.gpu.part import Bench, apart, ended
from benchmarks.gpu.trainings import Training, peak_memory, recipe_of
from modelyard.errors import ModelyardError
from modelyard.progress import EpochReport
from modelyard.recipes.cnn import PRESETS
from modelyard.recipes.named import ARCHITECTURES

FEW_EPOCHS = ("training.epochs=2", "training.min_steps=0")
FLOOR = 0.5
"""Test accuracy that two epochs of anything reach; guessing has 0.1."""
CLOSE = 0.02
"""How far two epochs in 16 bits may be from two in 32."""


def trains(bench: Bench) -> None:
    """Each architecture and preset, two epochs of it; `sprint` asks which precision is faster."""
    for preset in PRESETS:
        for architecture in ARCHITECTURES:
            with bench.case(f"{architecture} {preset}"):
                precision = "auto" if preset == "sprint" and not bench.is_dry else "fp32"
                recipe = recipe_of(
                    bench, architecture, preset, [*FEW_EPOCHS, f"training.precision={precision}"]
                )
                training = Training.of(bench, f"trains {architecture} {preset}", recipe)
                with peak_memory(bench) as peak:
                    training.run()
                record, score = training.record, training.accuracy(bench.device)
                bench.note(
                    f"{architecture} {preset}",
                    accuracy=score,
                    seconds=record["seconds"],
                    precision=record["precision"],
                    images=record["train_images"],
                    **peak,
                )
                assert record["device"] == bench.device
                assert all(math.isfinite(epoch["train_loss"]) for epoch in record["history"])
                assert bench.is_dry or score > FLOOR, f"test accuracy {score:.2%} after two epochs"


def same_seed(bench: Bench) -> None:
    """The same training twice: equal weights, byte for byte?"""
    presets = ("sprint",) if bench.is_dry else ("sprint", "quality")
    for preset, architecture in itertools.product(presets, bench.architectures):
        with bench.case(f"{architecture} {preset}"):
            changes = [*FEW_EPOCHS, "training.precision=fp32", "training.max_train_images=25600"]
            recipe = recipe_of(bench, architecture, preset, changes)
            pair = [
                Training.of(bench, f"twice {number} {architecture} {preset}", recipe) for number in range(2)
            ]
            ended(started(pair))
            bench.note(f"{architecture} {preset}", weights=equal(*pair))


def started(trainings: list[Training], epochs: Path | None = None) -> BaseProcess:
    """One after the other, from the beginning, in a process; numbers of epochs are written to `epochs`."""

    def tell(report: EpochReport) -> None:
        if epochs is not None:
            with epochs.open("a") as stream:
                stream.write(f"{report.epoch}\n")

    def work() -> None:
        for training in trainings:
            training.run(tell)

    for training in trainings:
        training.checkpoint.unlink(missing_ok=True)
    return apart(work)


def equal(first: Training, second: Training) -> str:
    return "equal" if first.weights == second.weights else "DIFFERENT"


RESUMED = (
    ("cnn", "fp32"),
    ("rnn", "fp32"),
    ("transformer", "fp32"),
    ("cnn", "fp16"),
    ("transformer", "bf16"),
)


def resume(bench: Bench) -> None:
    """Killed at a random moment after its first checkpoint and gone on with: the training that was never
    killed?
    """
    draw, epochs = random.Random(0), 4 if bench.is_dry else 6
    wanted = ["training.min_steps=0", f"training.epochs={epochs}", "training.max_train_images=12800"]
    for architecture, precision in RESUMED[1:2] if bench.is_dry else RESUMED:
        recipe = recipe_of(bench, architecture, "sprint", [*wanted, f"training.precision={precision}"])
        with bench.case(f"{architecture} {precision}"):
            whole, cut = (
                Training.of(bench, f"resume {kind} {architecture}", recipe) for kind in ("whole", "cut")
            )
            reference = started([whole])
            seen = kill(cut, draw.uniform(0, 0.1 if bench.is_dry else 0.6))
            ended(apart(cut.run))
            ended(reference)
            same = equal(whole, cut)
            bench.note(f"{architecture} {precision}", killed_after_epoch=seen, of=epochs, weights=same)


def kill(training: Training, after: float) -> int | str:
    """SIGKILL, `after` seconds after the first checkpoint was there; how many epochs had been told of."""
    epochs = training.out / "epochs"
    epochs.write_text("")
    process = started([training], epochs)
    while not training.checkpoint.exists() and process.is_alive():
        time.sleep(0.01)
    process.join(after)
    was_alive = process.is_alive()
    process.kill()
    process.join()
    return len(epochs.read_text().splitlines()) if was_alive else "all (it was over before)"


def precisions(bench: Bench) -> None:
    """bf16 and fp16 learn what fp32 learns."""
    for architecture in bench.architectures:
        scores: dict[str, float] = {}
        for precision in ("fp32", "bf16") if bench.is_dry else ("fp32", "bf16", "fp16"):
            with bench.case(f"{architecture} {precision}"):
                recipe = recipe_of(
                    bench, architecture, "sprint", [*FEW_EPOCHS, f"training.precision={precision}"]
                )
                training = Training.of(bench, f"precision {architecture} {precision}", recipe)
                training.run()
                scores[precision] = training.accuracy(bench.device)
                difference = scores[precision] - scores.get("fp32", math.nan)
                assert bench.is_dry or abs(difference) < CLOSE, f"test accuracy {scores}"
        bench.note(architecture, **scores)


def refused(bench: Bench) -> None:
    """Devices that are not there are refused in one line; without CUDA, too."""
    recipe = recipe_of(bench, "rnn", "smoke", FEW_EPOCHS)
    for device, variables in (("cuda:99", {}), ("gpu", {}), ("cuda", {"CUDA_VISIBLE_DEVICES": ""})):
        with bench.case(f"{device} {variables or ''}"):
            training = Training.of(bench, f"refused {device}", recipe)
            wrong = Training(training.job.model_copy(update={"device": device}), training.out)
            bench.note(f"{device} {variables or ''}", told=told_by(wrong, variables))


def told_by(training: Training, variables: dict[str, str] | None = None, within: float = 60.0) -> str:
    """The line that a training ends with. Raises: AssertionError where it is none."""
    line = training.out / "line"
    line.unlink(missing_ok=True)
    ended(apart(functools.partial(_write_error, training, line), variables), within)
    text = line.read_text()
    assert text and "\n" not in text, f"expected one line, received {text!r}"
    return text


def _write_error(training: Training, line: Path) -> None:
    try:
        training.run()
    except ModelyardError as error:
        line.write_text(f"{type(error).__name__}: {error}")
    else:
        line.write_text("")
