"""Collected rows as a data set: classes, the given splits or a drawn one, and what is to be said of them.
N rows, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelyard.data.datasets import Dataset, Rows, Split, make_dataset
from modelyard.data.names import check_classes
from modelyard.data.options import FolderOptions
from modelyard.errors import DataError
from modelyard.samples.ragged import Ragged
from modelyard.samples.text import AS_READ
from modelyard.sources.listing import TEST_EVERY
from modelyard.sources.texts.collected import SPLITS, Collected
from modelyard.sources.texts.values import class_names
from modelyard.terminal.printable import listed

MOST_REPRS = 0.5
"""Share of texts that may look as Python shows bytes."""
LEAST_TRAIN, LEAST_DRAWN = 2, 3
"""Texts of each class: one is held out for validation, and one for the test where none is given."""
Numbers = NDArray[np.int64]


def dataset_of(
    name: str, collected: Collected, flat: Path, options: FolderOptions, told: Sequence[str]
) -> Dataset:
    """Raises: DataError, without the source's name, for rows at fault and classes with too few texts."""
    dropped = _unlabelled(collected)
    faults = _checked(collected, options)
    called = class_names(collected.names)
    classes = tuple(sorted(set(called.values())))
    _check_variety(classes, collected)
    check_classes(classes)
    numbers = {name: number for number, name in enumerate(classes)}
    number_K = np.array([numbers[called[label]] for label in collected.names], np.int64)
    labels_N, splits_N = np.asarray(collected.labels, np.int64), np.asarray(collected.splits, np.int64)
    labels_N = np.where(labels_N < 0, -1, number_K[labels_N])
    rows, notes = _rows_by_split(labels_N, splits_N, classes, options.validation_as)
    texts = collected.stored(flat)
    train, test = (
        _split(texts, labels_N, part)
        for part in (np.concatenate([rows["train"], rows["validation"]]), rows["test"])
    )
    dataset = make_dataset(
        name, train, test, classes, validation_rows=len(rows["validation"]), reading=AS_READ
    )
    decoded = [*notes, *dropped, *_read_notes(collected), *faults]
    return replace(dataset, origin=_origin(collected, faults, decoded, told))


def _origin(
    collected: Collected, faults: Sequence[str], decoded: Sequence[str], told: Sequence[str]
) -> Mapping[str, object]:
    return {
        "longest text": f"{collected.longest:,} characters",
        "texts cut off": collected.cut,
        "unreadable files left out": list(faults),
        "how decoded": list(decoded),
        "notes": [*told, *decoded],
    }


def _checked(collected: Collected, options: FolderOptions) -> list[str]:
    """Rows that are left out, a line for each fault. Raises: DataError where none may be."""
    count = len(collected.lengths)
    if not count and not collected.faults.counts:
        raise DataError("holds no rows; expected a text and a label in each")
    if collected.reprs > MOST_REPRS * count:
        raise DataError(
            f"{collected.reprs:,} of {count:,} texts look as Python shows bytes (b'...'), not as the text "
            "itself; decode them (value.decode()) before they are written"
        )
    faults = collected.faults.told()
    if faults and not options.skip_unreadable:
        raise DataError(f"{'; '.join(faults)}; correct them or pass --skip-unreadable")
    return [f"left out: {fault}" for fault in faults]


def _unlabelled(collected: Collected) -> list[str]:
    """Splits without any label are left out; elsewhere such a row is at fault."""
    notes, splits_N = [], np.asarray(collected.splits)
    for split, count in collected.unlabelled.counts.items():
        if split in {"validation", "test"} and count == (splits_N == SPLITS.index(split)).sum():
            notes.append(f"the {split} split has no labels: left out")
        else:
            collected.faults.counts["have no label"] += count
            collected.faults.first["have no label"] += collected.unlabelled.first[split]
    return notes


def _check_variety(classes: Sequence[str], collected: Collected) -> None:
    count = sum(label >= 0 for label in collected.labels)
    if len(classes) < 2:
        held = f"one class ({classes[0][:40]})" if classes else "no labels"
        raise DataError(f"has {held}; a classifier needs at least two")
    if 2 * len(classes) > count:
        raise DataError(
            f"has {len(classes):,} different labels in {count:,} rows, such as {listed(list(classes)[:3])}: "
            "these are no classes; choose their column by --label-column"
        )


def _rows_by_split(
    labels_N: Numbers, splits_N: Numbers, classes: Sequence[str], validation_as: str | None
) -> tuple[Mapping[str, Rows], list[str]]:
    """Rows of train, validation and test in order, and how they came about. Raises: DataError."""
    has_label_N = labels_N >= 0
    given = {
        split: np.flatnonzero(has_label_N & (splits_N == place))
        for place, split in enumerate(SPLITS)
        if split
    }
    given["train"] = np.flatnonzero(has_label_N & (splits_N <= SPLITS.index("train")))
    role, notes = validation_as or ("validation" if len(given["test"]) else "test"), []
    if len(given["validation"]):
        other = "validation" if role == "test" else "test"
        notes.append(
            "the validation split is tested on, validation drawn from train; otherwise: --set "
            "data.validation_as=validation"
            if role == "test"
            else f"the validation split is as given; otherwise: --set data.validation_as={other}"
        )
        if role == "test":
            given["test"] = np.sort(np.concatenate([given["test"], given["validation"]]))
            given["validation"] = given["validation"][:0]
    if not len(given["test"]):
        _check_counts(labels_N[given["train"]], classes, LEAST_DRAWN, "for three splits")
        given["train"], given["test"] = _drawn(given["train"], labels_N)
        notes.append(f"no test split is given: every {TEST_EVERY}th text of a class is tested on")
    seen = set(labels_N[given["train"]].tolist())
    if only := [name for number, name in enumerate(classes) if number not in seen]:
        raise DataError(
            f"classes without a text in train: {listed(only)}; expected texts of each; correct these labels, "
            "add texts, or leave these rows out"
        )
    _check_counts(labels_N[given["train"]], classes, LEAST_TRAIN, "to train on")
    notes += _absent(labels_N, given, classes)
    return given, notes


def _absent(labels_N: Numbers, given: Mapping[str, Rows], classes: Sequence[str]) -> Iterator[str]:
    for split in ("validation", "test"):
        seen = set(np.unique(labels_N[given[split]]).tolist())
        if seen and (absent := [name for number, name in enumerate(classes) if number not in seen]):
            yield f"WARNING: classes without a text in {split}: {len(absent)} ({listed(absent)})"


def _drawn(train_N: Rows, labels_N: Numbers) -> tuple[Rows, Rows]:
    """Every fifth row of a class, at least one."""
    order_N = train_N[np.argsort(labels_N[train_N], kind="stable")]
    _, first_K, sizes_K = np.unique(labels_N[order_N], return_index=True, return_counts=True)
    place_N = np.arange(len(order_N)) - np.repeat(first_K, sizes_K)
    size_N = np.repeat(sizes_K, sizes_K)
    is_test_N = (place_N % TEST_EVERY == TEST_EVERY - 1) | ((size_N < TEST_EVERY) & (place_N == size_N - 1))
    return np.sort(order_N[~is_test_N]), np.sort(order_N[is_test_N])


def _check_counts(labels_N: Numbers, classes: Sequence[str], least: int, where: str) -> None:
    counts_K = np.bincount(labels_N, minlength=len(classes))
    if scarce := [
        f"{name} ({count})" for name, count in zip(classes, counts_K, strict=True) if count < least
    ]:
        raise DataError(
            f"each class needs at least {least} texts {where}; too few: {listed(scarce)}; add texts, or "
            "leave these rows out"
        )


def _split(texts: Ragged, labels_N: Numbers, rows_N: Rows) -> Split:
    return Split(texts, labels_N[rows_N], rows_N)


def _read_notes(collected: Collected) -> Iterator[str]:
    count = len(collected.lengths)
    if collected.cut:
        yield (
            f"{collected.cut:,} of {count:,} texts are longer than {collected.form.longest:,} characters and "
            f"are cut there (the longest has {collected.longest:,}); otherwise: --set data.longest=..."
        )
    if collected.empty:
        yield f"texts that are empty: {collected.empty:,}"
    if len(types := sorted(collected.label_types)) > 1:
        yield f"labels are of several types ({', '.join(types)}); those that are written alike are one class"
    if collected.numbers:
        yield f"texts that are numbers, read as they are written: {collected.numbers:,}"
