"""What a person should know of a data set before training on it."""

from __future__ import annotations

import hashlib
from typing import Any

from modelyard.data.datasets import BLOCK, Dataset, Split


def describe(dataset: Dataset) -> dict[str, Any]:
    """Counts for each class and split, shape, duplicates and train/test leaks."""
    train, test = (_image_digests(split) for split in (dataset.train, dataset.test))
    in_train = set(train)
    counts = {
        name: {"train": int((dataset.train.labels_N == label).sum()), "test": int((dataset.test.labels_N == label).sum())}
        for label, name in enumerate(dataset.classes)
    }
    return {
        "counts": counts,
        "images": {"train": len(dataset.train), "test": len(dataset.test)},
        "shape (channels, height, width)": list(dataset.image_shape),
        "megabytes": round((dataset.train.nbytes + dataset.test.nbytes) / 1e6, 1),
        "duplicates in train": len(train) - len(in_train),
        "test images that are also in train": sum(digest in in_train for digest in test),
        "digest": dataset.digest,
    }


def _image_digests(split: Split) -> list[bytes]:
    blocks = (split.gather(slice(start, start + BLOCK)) for start in range(0, len(split), BLOCK))
    return [hashlib.blake2b(image.data, digest_size=16).digest() for block in blocks for image in block]
