"""What a person should know of a data set before training on it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelyard.data.datasets import Dataset, Labels, Samples, Split
from modelyard.terminal.printable import listed

EXAMPLES = 5
"""How many of the images in question are named."""
UNEVEN, FEW, NAMED = 3, 30, 3
"""Advice: from which ratio of classes, below how many training images, and how many classes it names."""


@dataclass(frozen=True, slots=True)
class _Pixels:
    """What one pass over a split finds."""

    digests: list[bytes]
    """Of each image's pixels [N]."""
    num_blank: int
    """Images of one colour."""


def describe(dataset: Dataset) -> dict[str, Any]:
    """Counts, sizes and faults; reads every image once.

    "train 17" is the 17th row of the training split as packed, counted from 0.
    """
    train, test = (_look_at(split) for split in (dataset.train, dataset.test))
    counts = _counts(dataset)
    in_train = set(train.digests)
    conflicts = _conflicts(dataset, train, test)
    sizes = [count["train"] for count in counts.values()]
    found = {
        "name": dataset.name,
        "digest": dataset.digest,
        "origin": dict(dataset.origin),
        "classes": len(dataset.classes),
        "images": {"train": len(dataset.train), "test": len(dataset.test)},
        "shape (channels, height, width)": list(dataset.form.chw),
        "megabytes": round((dataset.train.nbytes + dataset.test.nbytes) / 1e6, 1),
        "largest class / smallest class": round(max(sizes) / max(1, min(sizes)), 2),
        "blank images": {"train": train.num_blank, "test": test.num_blank},
        "duplicates in train": len(train.digests) - len(in_train),
        "duplicates in test": len(test.digests) - len(set(test.digests)),
        "test images that are also in train": sum(digest in in_train for digest in test.digests),
        "equal images of different classes": len(conflicts),
        "examples of those": conflicts[:EXAMPLES],
        "counts": counts,
    }
    return found | {"advice": list(_advice(found))}


def _advice(found: dict[str, Any]) -> Iterator[str]:
    """What to do about what was found, a line each."""
    sizes = {name: count["train"] for name, count in found["counts"].items()}
    largest, smallest = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    if (ratio := found["largest class / smallest class"]) > UNEVEN:
        yield (
            f"uneven: {ratio:g} images of {largest} for one of {smallest}; look at recall and "
            "macro F1, not accuracy;"
            " try --set training.class_weights=balanced or training.sampling=balanced, demand "
            "--set gates.min_recall=0.5"
        )
    if few := sorted((size, name) for name, size in sizes.items() if size < FEW):
        named = listed((f"{name} ({size})" for size, name in few), NAMED)
        yield f"few: less than {FEW} images to train on of {named}; scores of so few vary much, add images"
    if leaks := found["test images that are also in train"]:
        yield (
            f"leaks: {leaks} test images are also in train, so the test score flatters; take them out of one"
        )
    if twice := found["duplicates in train"]:
        yield f"duplicates: {twice} training images are there already; copies of one count several times"


def pixel_digest(image_CHW: Samples) -> bytes:
    """The same for equal images; `image_CHW` is contiguous."""
    return hashlib.blake2b(image_CHW.data, digest_size=16).digest()


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    def of(labels_N: Labels) -> list[int]:
        return [int(count) for count in np.bincount(labels_N, minlength=len(dataset.classes))]

    pairs = zip(of(dataset.train.labels_N), of(dataset.test.labels_N), strict=True)
    return {
        name: {"train": train, "test": test}
        for name, (train, test) in zip(dataset.classes, pairs, strict=True)
    }


def _look_at(split: Split) -> _Pixels:
    digests: list[bytes] = []
    num_blank = 0
    for block_BCHW in split.blocks():
        num_blank += int((block_BCHW == block_BCHW[:, :, :1, :1]).all((1, 2, 3)).sum())
        digests += map(pixel_digest, block_BCHW)
    return _Pixels(digests, num_blank)


def _conflicts(dataset: Dataset, train: _Pixels, test: _Pixels) -> list[str]:
    """For each set of equal images with more than one label: which rows, which classes."""
    places: dict[bytes, list[tuple[str, int, int]]] = defaultdict(list)
    repeated = {digest for digest, count in Counter(train.digests + test.digests).items() if count > 1}
    for part, pixels, split in (("train", train, dataset.train), ("test", test, dataset.test)):
        for row, (digest, label) in enumerate(zip(pixels.digests, split.labels_N.tolist(), strict=True)):
            if digest in repeated:
                places[digest].append((part, row, label))
    return [
        ", ".join(f"{part} {row} ({dataset.classes[label]})" for part, row, label in rows[:EXAMPLES])
        for rows in places.values()
        if len({label for _, _, label in rows}) > 1
    ]
