"""What a person should know of a data set before training on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from modelyard.data.datasets import Dataset, Labels
from modelyard.inspection.measures import measures_of
from modelyard.inspection.measures.protocol import Looked
from modelyard.terminal.printable import listed

EXAMPLES = 5
"""How many of the samples in question are named."""
UNEVEN, FEW, NAMED = 3, 30, 3
"""Advice: from which ratio of classes, below how many training samples, and how many classes it names."""


def describe(dataset: Dataset) -> dict[str, Any]:
    """Counts, sizes and faults; reads every sample once.

    "train 17" is the 17th row of the training split as packed, counted from 0.
    """
    measures, many = measures_of(dataset.form), dataset.form.names.many
    train, test = (measures.look_at(split) for split in (dataset.train, dataset.test))
    counts = _counts(dataset)
    in_train = set(train.digests)
    conflicts = _conflicts(dataset, train, test)
    sizes = [count["train"] for count in counts.values()]
    found = {
        "name": dataset.name,
        "digest": dataset.digest,
        "origin": dict(dataset.origin),
        "classes": len(dataset.classes),
        many: {"train": len(dataset.train), "test": len(dataset.test)},
        **measures.facts(dataset, train, test),
        "megabytes": round((dataset.train.nbytes + dataset.test.nbytes) / 1e6, 1),
        "largest class / smallest class": round(max(sizes) / max(1, min(sizes)), 2),
        f"{measures.empty} {many}": {"train": train.empty, "test": test.empty},
        "duplicates in train": len(train.digests) - len(in_train),
        "duplicates in test": len(test.digests) - len(set(test.digests)),
        f"test {many} that are also in train": sum(digest in in_train for digest in test.digests),
        **_held_out(dataset, train),
        f"equal {many} of different classes": len(conflicts),
        "examples of those": conflicts[:EXAMPLES],
        "counts": counts,
    }
    return found | {"advice": [*_advice(found, many), *measures.advice(found)]}


def _held_out(dataset: Dataset, train: Looked) -> dict[str, int]:
    """How many of a given validation split are in the rest of train."""
    given = len(train.digests) - dataset.validation_rows
    if given == len(train.digests):
        return {}
    known = set(train.digests[:given])
    what = f"validation {dataset.form.names.many} that are also in train"
    return {what: sum(digest in known for digest in train.digests[given:])}


def _advice(found: dict[str, Any], many: str) -> Iterator[str]:
    """What to do about what was found, a line each."""
    sizes = {name: count["train"] for name, count in found["counts"].items()}
    largest, smallest = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if (ratio := found["largest class / smallest class"]) > UNEVEN:
        yield (
            f"uneven: {ratio:g} {many} of {largest} for one of {smallest}; look at recall and "
            "macro F1, not accuracy;"
            " try --set training.class_weights=balanced or training.sampling=balanced, demand "
            "--set gates.min_recall=0.5"
        )
    if few := sorted((size, name) for name, size in sizes.items() if size < FEW):
        named = listed((f"{name} ({size})" for size, name in few), NAMED)
        yield f"few: less than {FEW} {many} to train on of {named}; scores of so few vary much, add {many}"
    if leaks := found[f"test {many} that are also in train"]:
        yield (
            f"leaks: {leaks} test {many} are also in train, so the test score flatters; take them out of one"
        )
    if twice := found["duplicates in train"]:
        yield f"duplicates: {twice} training {many} are there already; copies of one count several times"


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    def of(labels_N: Labels) -> list[int]:
        return [int(count) for count in np.bincount(labels_N, minlength=len(dataset.classes))]

    pairs = zip(of(dataset.train.labels_N), of(dataset.test.labels_N), strict=True)
    return {
        name: {"train": train, "test": test}
        for name, (train, test) in zip(dataset.classes, pairs, strict=True)
    }


def _conflicts(dataset: Dataset, train: Looked, test: Looked) -> list[str]:
    """For each set of equal samples with more than one label: which rows, which classes."""
    places: dict[bytes, list[tuple[str, int, int]]] = defaultdict(list)
    repeated = {digest for digest, count in Counter(train.digests + test.digests).items() if count > 1}
    for part, looked, split in (("train", train, dataset.train), ("test", test, dataset.test)):
        for row, (digest, label) in enumerate(zip(looked.digests, split.labels_N.tolist(), strict=True)):
            if digest in repeated:
                places[digest].append((part, row, label))
    return [
        ", ".join(f"{part} {row} ({dataset.classes[label]})" for part, row, label in rows[:EXAMPLES])
        for rows in places.values()
        if len({label for _, _, label in rows}) > 1
    ]
