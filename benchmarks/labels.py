"""What learning from little is worth: the same draws of labels with and without what else there is.

    MODELYARD_DATA=... python -m benchmarks.labels [--rows mnist-100 thuc-200] [--draws 0 1 2]
        [--lite0 OWN.py:Class WEIGHTS.pth] [--minilm FOLDER] [--out labels.json]

Rows: `mnist-100` (100 labels, the rest unlabelled, three architectures), `hymenoptera` (--lite0),
`banking77` and `banking77-770` (--minilm; all labels, ten a class), `thuc-200` (twenty a class, masked
pre-training on the titles), `tiny` (small CNNs of MNIST, taught and alone), `lstm` (taught by the CNN and
alone). A draw is one of the labels (hymenoptera: of the validation split) and the seed of the training.
Peers on the same labels: scikit-learn's SVC of pixels, TF-IDF with LinearSVC. CPU seconds are of the
training's process and of pre-training; nothing is chosen on test.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.accuracy import builds, bundle_of, measured
from benchmarks.text import texts, vectorizer_for
from modelyard.data.datasets import Split
from modelyard.data.packed import open_packed
from modelyard.data.splits import DataConfig, make_splits
from modelyard.home import Home
from modelyard.recipes.words import Words
from modelyard.steps.preparation import prepare

FIXMATCH, MASKED = "training.unlabelled=fixmatch", "pretrain.method=masked"
TINY = ("model.width=4",)
"""Changes of the preset `tiny`."""
NORMAL = ("model.mean=[0.498,0.498,0.498]", "model.std=[0.502,0.502,0.502]")
"""What EfficientNet-Lite's weights were trained with: 127 and 128 of 255."""


@dataclass(frozen=True, slots=True)
class Row:
    """One training, or the peer's."""

    row: str
    model: str
    draw: int
    test: float
    """Accuracy in percent."""
    validation: float | None = None
    cpu_seconds: float = 0.0
    parameters: int | None = None
    more: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """What is trained on which data, with so many labels."""

    data: str
    labels: int
    ways: Sequence[tuple[str, Words]]
    peer: Callable[[Split, Split], float] | None = None
    is_split_drawn: bool = False


def words(data: str, architecture: str, preset: str, *assignments: str) -> Words:
    """Of one training."""
    return Words(dataset=data, architectures=(architecture,), preset=preset, assignments=assignments)


def pixels(train: Split, test: Split) -> float:
    """scikit-learn's SVC with its defaults, % right."""
    from sklearn.svm import SVC

    model = SVC().fit(train.in_memory.reshape(len(train), -1) / 255.0, train.labels_N)
    return 100 * float(model.score(test.in_memory.reshape(len(test), -1) / 255.0, test.labels_N))


def terms(train: Split, test: Split) -> float:
    """TF-IDF of words (Chinese: of characters) and LinearSVC with its defaults, % right."""
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    given = texts(train)
    model = make_pipeline(vectorizer_for(given), LinearSVC()).fit(given, train.labels_N)
    return 100 * float(model.score(texts(test), test.labels_N))


def cases(arguments: argparse.Namespace) -> dict[str, Case]:
    """By name; those that need weights only where they are given."""
    found = {
        "mnist-100": Case("mnist", 100, [
            (f"{name}{', fixmatch' * bool(more)}", words("mnist", name, "standard", *more))
            for name in ("cnn", "rnn", "transformer") for more in ((), (FIXMATCH,))
        ], pixels),
        "thuc-200": Case("thucnews-titles", 200, [
            ("linear", words("thucnews-titles", "linear", "standard")),
            ("transformer", words("thucnews-titles", "transformer", "standard")),
            ("transformer, masked", words("thucnews-titles", "transformer", "standard", MASKED)),
        ], terms),
    }  # fmt: skip
    if arguments.lite0:
        own, file = arguments.lite0
        init = (f"init={file}", *NORMAL, "finetune.mode=head")
        photos = str(Path(os.environ["MODELYARD_DATA"]) / "hymenoptera" / "hymenoptera-224.zip")
        found["hymenoptera"] = Case(photos, 0, [
            ("scratch", words(photos, "cnn", "standard")),
            ("brought, head", words(photos, own, "standard", *init)),
        ], is_split_drawn=True)  # fmt: skip
    if arguments.minilm:
        start = f"init={arguments.minilm}"
        for name, labels in (("banking77", 0), ("banking77-770", 770)):
            found[name] = Case("banking77", labels, [
                ("linear", words("banking77", "linear", "standard")),
                *((f"brought, {mode}", words("banking77", "bert", "standard", start, f"finetune.mode={mode}"))
                  for mode in ("head", "head-then-full")),
            ], terms)  # fmt: skip
    return found


def taught_cases(home: Home) -> dict[str, Callable[[], Case]]:
    """Those that need a teacher, which is trained when it is asked for."""

    def teacher() -> str:
        (build,) = builds(words("mnist", "cnn", "quality"), home)
        return f"distil.teacher={bundle_of(build, home)}"

    def case(architecture: str, preset: str, *more: str) -> Case:
        return Case("mnist", 0, [("taught, alone", words("mnist", architecture, preset, *more, teacher()))])

    return {"tiny": lambda: case("cnn", "tiny", *TINY), "lstm": lambda: case("rnn", "quality")}


def rows(name: str, case: Case, draws: Sequence[int], home: Home) -> Iterator[Row]:
    """All trainings and the peer's."""
    dataset = open_packed(home.steps / prepare(case.data, home)["data_step"], verify=False)
    for draw in draws:
        if case.peer:
            splits = make_splits(dataset, DataConfig(labels=case.labels, labels_seed=draw))
            before = time.process_time()
            accuracy = case.peer(splits.train, splits.test)
            yield Row(name, case.peer.__name__, draw, accuracy, None, time.process_time() - before)
        labels = (f"data.labels={case.labels}", f"data.labels_seed={draw}") if case.labels else ()
        split = (f"data.split_seed={draw}",) if case.is_split_drawn else ()
        for way, asked in case.ways:
            drawn = (*asked.assignments, *labels, *split)
            told = asked.model_copy(update={"seed": draw, "assignments": drawn})
            for build in builds(told, home):
                found = measured(build, home)
                yield Row(name, f"{way} ({build.label})", draw, **asdict(found))


def main() -> None:
    """Print a line for each, and the means at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", nargs="+")
    parser.add_argument("--draws", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--lite0", nargs=2)
    parser.add_argument("--minilm")
    parser.add_argument("--out", type=Path)
    arguments, found = parser.parse_args(), list[Row]()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        given = cases(arguments)
        made = {name: partial(given.__getitem__, name) for name in given} | taught_cases(home)
        for name in arguments.rows or made:
            for row in rows(name, made[name](), arguments.draws, home):
                found.append(row)
                print(json.dumps(asdict(row)), flush=True)
                if arguments.out:
                    arguments.out.write_text(json.dumps([asdict(one) for one in found], indent=1))
    for name, model in dict.fromkeys((one.row, one.model) for one in found):
        same = [one for one in found if (one.row, one.model) == (name, model)]
        values, seconds = [one.test for one in same], np.mean([one.cpu_seconds for one in same])
        spread = f"{np.mean(values):.2f} ({min(values):.2f}-{max(values):.2f})"
        print(f"{name:16} {model:32} {spread:22} {seconds:7.1f} s of CPU, {len(same)} draws")


if __name__ == "__main__":
    main()
