"""Test accuracy on texts: the product's models beside what a user would start with, on the same splits in one
run.

    MODELYARD_DATA=... python -m benchmarks.text [--data trec sst2] [--architectures linear cnn rnn]
        [--preset standard] [--seeds 0 1 2] [--out text.json]

The product's: data, training and evaluation steps as `modelyard run` does them, without records. The peers:
TF-IDF of words (of Chinese: of one to three characters) with LinearSVC as scikit-learn has them, and fastText
(`fasttext-numpy2-wheel`, of Chinese with the characters parted) with 25 epochs, rate 0.5 and pairs of words;
it dies with its own defaults on these data. Both train on all training rows, ours without the validation rows
where the data have none. CPU seconds are those of the training's process, or of fitting. Nothing is chosen on
test.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import builds, measured
from modelyard.data.datasets import Dataset, Split
from modelyard.data.packed import open_packed
from modelyard.home import Home
from modelyard.recipes.words import Words
from modelyard.samples.text import text_of
from modelyard.steps.preparation import prepare

DATA = ("trec", "sst2", "sms-spam", "banking77", "chnsenticorp", "thucnews-titles")
ARCHITECTURES = ("linear", "cnn", "rnn", "transformer")


@dataclass(frozen=True, slots=True)
class Result:
    """One model on one data set with one seed."""

    data: str
    model: str
    seed: int
    accuracy: float
    """On the test split, in percent."""
    validation: float | None
    cpu_seconds: float
    parameters: int | None = None


def ours(name: str, architecture: str, preset: str, seed: int, home: Home) -> Result:
    """As the steps make it."""
    (build,) = builds(Words(dataset=name, architectures=(architecture,), preset=preset, seed=seed), home)
    found = measured(build, home)
    return Result(
        name,
        f"{architecture}, {preset}",
        seed,
        found.test,
        found.validation,
        found.cpu_seconds,
        found.parameters,
    )


def svm(data: Dataset) -> Result:
    """scikit-learn's defaults but for the n-grams."""
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    train, test = texts(data.train), texts(data.test)
    vectorizer = vectorizer_for(train)
    before, model = time.process_time(), make_pipeline(vectorizer, LinearSVC())
    model.fit(train, data.train.labels_N)
    spent = time.process_time() - before
    return Result(
        data.name, "TF-IDF + LinearSVC", 0, 100 * model.score(test, data.test.labels_N), None, spent
    )


def vectorizer_for(train: Sequence[str]) -> Any:
    """TF-IDF of words, of Chinese of one to three characters."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    chinese = is_chinese(train)
    return TfidfVectorizer(
        sublinear_tf=True, analyzer="char" if chinese else "word", ngram_range=(1, 3) if chinese else (1, 2)
    )


def fast_text(data: Dataset, seed: int) -> Result:
    """Raises: ImportError where it is not installed."""
    import fasttext  # type: ignore[import-not-found]

    train = texts(data.train)
    spaced: Callable[[str], str] = " ".join if is_chinese(train) else str
    lines = [f"__label__{y} {spaced(x)}" for x, y in zip(train, data.train.labels_N, strict=True)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(line.replace("\n", " ") for line in lines))
        file.flush()
        before = time.process_time()
        model = fasttext.train_supervised(
            file.name, epoch=25, lr=0.5, wordNgrams=2, thread=1, verbose=0, seed=seed
        )
        spent = time.process_time() - before
    found = model.predict([spaced(x).replace("\n", " ") for x in texts(data.test)])[0]
    labels_N = np.array([int(labels[0].removeprefix("__label__")) for labels in found])
    return Result(
        data.name, "fastText", seed, 100 * float((labels_N == data.test.labels_N).mean()), None, spent
    )


def texts(split: Split) -> list[str]:
    """All of a split."""
    return [text_of(row_L) for block_BL in split.blocks() for row_L in block_BL]


def is_chinese(some: Sequence[str]) -> bool:
    """Whether words are not parted by spaces."""
    return sum(text.count(" ") for text in some) < 0.05 * sum(map(len, some))


def results(arguments: argparse.Namespace, home: Home) -> Iterator[Result]:
    """Peers and ours, a data set after the other."""
    for name in arguments.data:
        data = open_packed(home.steps / prepare(name, home)["data_step"], verify=False)
        yield svm(data)
        for seed in arguments.seeds:
            try:
                yield fast_text(data, seed)
            except ImportError:
                print("fastText is not installed", file=sys.stderr)
                break
        for architecture in arguments.architectures:
            for seed in arguments.seeds[:1] if architecture == "linear" else arguments.seeds:
                yield ours(name, architecture, arguments.preset, seed, home)


def main() -> None:
    """Print a line for each, and the means at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--architectures", nargs="+", default=ARCHITECTURES)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    arguments, found = parser.parse_args(), list[Result]()
    with tempfile.TemporaryDirectory() as folder:
        for result in results(arguments, Home(Path(folder))):
            found.append(result)
            print(json.dumps(asdict(result)), flush=True)
            if arguments.out:
                arguments.out.write_text(json.dumps([asdict(one) for one in found], indent=1))
    for data, model in dict.fromkeys((one.data, one.model) for one in found):
        same = [one for one in found if (one.data, one.model) == (data, model)]
        values, seconds = [one.accuracy for one in same], [one.cpu_seconds for one in same]
        spread = f"{np.mean(values):.2f} ({min(values):.2f}-{max(values):.2f})"
        print(f"{data:16} {model:24} {spread:22} {np.mean(seconds):7.1f} s of CPU, {len(same)} seeds")


if __name__ == "__main__":
    main()
