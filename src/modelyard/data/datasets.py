"""The data set as every other room sees it.

Shape suffixes: N samples of a split, M as stored, B of a batch; what follows is that of one sample.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.data.names import check_classes
from modelyard.errors import DataError
from modelyard.samples import AnyReading, Form, Stored, form_of
from modelyard.samples.reading import AS_EVER

Samples = NDArray[Any]
Labels = NDArray[np.int64]
Rows = NDArray[np.int64]
UNKNOWN = -1
"""Label of a sample whose class nobody told."""
SAMPLES = 128
"""Evenly spaced, they stand for all."""
BLOCK_BYTES = 64_000_000
"""Samples read at once where all of them may exceed memory."""
EVALUATED_VALUES = 2**21
OnProgress = Callable[[str, int, int], None]
"""Told of long work: what is done, how much of it, of how much."""


def unheard(_what: str, _done: int, _total: int) -> None:
    """The `OnProgress` that tells nobody."""


def block_rows(form: Form) -> int:
    """How many samples fit in `BLOCK_BYTES`, at least one."""
    return int(max(1, BLOCK_BYTES // form.values))


def evaluated_rows(form: Form, most: int = 512) -> int:
    """How many samples are classified at once: fewer large ones, or evaluation would take more memory than
    training.
    """
    return int(min(most, max(32, EVALUATED_VALUES // form.values)))


@dataclass(frozen=True, slots=True)
class Split:
    """Labelled samples; a subset shares what is stored (which may be memory-mapped) and names its rows."""

    samples: Stored
    """[M, ...] as stored."""
    labels_N: Labels
    """int64 [N]; `UNKNOWN` where no label is known."""
    rows_N: Rows | None = None
    """Which stored rows belong to the split; None means all, in order."""
    columns: Mapping[str, Samples] = field(default_factory=dict)
    """What else is known of each sample [N, ...], by name."""

    def __len__(self) -> int:
        return len(self.labels_N)

    @property
    def form(self) -> Form:
        """What one sample is."""
        return form_of(self.samples)

    @property
    def nbytes(self) -> int:
        """Size of all samples in bytes."""
        return int(self.samples.nbytes) * len(self) // max(1, len(self.samples))

    @property
    def lengths_N(self) -> Rows | None:
        """Values of each sample; None where all are of one size."""
        lengths_M = None if isinstance(self.samples, np.ndarray) else self.samples.lengths_M
        return lengths_M if lengths_M is None or self.rows_N is None else lengths_M[self.rows_N]

    @property
    def in_memory(self) -> Samples:
        """All samples [N, ...]."""
        return self.gather(slice(None))

    @property
    def few(self) -> Samples:
        """Evenly spaced samples, at most `SAMPLES` [B, ...]."""
        return self.gather(np.arange(0, len(self), -(-len(self) // SAMPLES) or 1))

    def gather(self, which: slice | Rows) -> Samples:
        """Some samples in memory [B, ...]."""
        chosen = self.samples[which if self.rows_N is None else self.rows_N[which]]
        return np.array(
            chosen, order="C", copy=isinstance(which, slice) or None
        )  # a slice would be a read-only view

    def blocks(self) -> Iterator[Samples]:
        """All samples in order [B, ...], `BLOCK_BYTES` at a time."""
        rows = block_rows(self.form)
        return (self.gather(slice(start, start + rows)) for start in range(0, len(self), rows))

    def take(self, indices: Rows) -> Split:
        """The split of the samples at `indices`; none is copied."""
        rows_N = indices if self.rows_N is None else self.rows_N[indices]
        columns = {name: column[indices] for name, column in self.columns.items()}
        return Split(self.samples, self.labels_N[indices], rows_N, columns)

    def with_rows_of(self, other: Split) -> Split:
        """These samples, then those of `other`, which is of the same form; what is stored twice is copied.

        Of the columns those that both have.
        """
        columns = {
            name: np.concatenate([self.columns[name], other.columns[name]])
            for name in self.columns.keys() & other.columns.keys()
        }
        labels_N = np.concatenate([self.labels_N, other.labels_N])
        if self.samples is other.samples:
            rows = [np.arange(len(one)) if one.rows_N is None else one.rows_N for one in (self, other)]
            return Split(self.samples, labels_N, np.concatenate(rows), columns)
        joined = self.form.joined([(one.samples, one.rows_N) for one in (self, other)])
        return Split(joined, labels_N, None, columns)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named data set with its two given splits, class names and content digest."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    digest: str
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Where it came from, for people: source, date, forms of the files, what was left out. Not part of the
    digest.
    """
    folder: Path | None = None
    """Where the packed files of just this content lie, if they do."""
    validation_rows: int = 0
    """How many of the last training samples were given as the validation split; 0: it is drawn from train."""
    reading: AnyReading = AS_EVER
    """How the files were read, beyond their size."""

    @property
    def form(self) -> Form:
        """What one sample is."""
        return self.train.form


def make_dataset(  # noqa: PLR0913 - each part of a data set
    name: str,
    train: Split,
    test: Split,
    classes: tuple[str, ...],
    *,
    validation_rows: int = 0,
    reading: AnyReading | None = None,
) -> Dataset:
    """Check that the parts fit together and name the whole by its content.

    reading: how the files were read, without a ground where nothing lies on it; None for samples that never
    were files.
    Raises: DataError when samples and labels differ in number, a label has no class or a class no proper
    name.
    """
    check_classes(classes)
    for part, split in (("train", train), ("test", test)):
        _check_split(f"{name} {part}", split, len(classes))
    reading = reading or train.form.reading(train.few)
    digest = content_digest(train, test, classes, validation_rows, reading)
    return Dataset(name, train, test, classes, digest, validation_rows=validation_rows, reading=reading)


def _check_split(what: str, split: Split, num_classes: int) -> None:
    if split.rows_N is None and len(split.samples) != len(split.labels_N):
        raise DataError(
            f"{what}: {len(split.samples)} {split.form.names.many} but {len(split.labels_N)} labels;"
            " the files do not belong together, fetch them again"
        )
    low, high = int(split.labels_N.min(initial=0)), int(split.labels_N.max(initial=0))
    if low < 0 or high >= num_classes:
        raise DataError(
            f"{what}: expected labels in 0..{num_classes - 1}, one for each class name, found {low}..{high};"
            " correct the labels or the class names"
        )


def content_digest(
    train: Split,
    test: Split,
    classes: tuple[str, ...],
    validation_rows: int = 0,
    reading: AnyReading = AS_EVER,
) -> str:
    """sha256 over the decoded arrays and class names: one changed value changes it, and so do what is held
    out and how other pictures are to be read."""
    digest = hashlib.sha256(json.dumps(classes).encode())
    if validation_rows:
        digest.update(json.dumps({"validation_rows": validation_rows}).encode())
    if made := reading.made():
        digest.update(json.dumps(made).encode())
    for split in (train, test):
        digest.update(json.dumps([len(split), *split.samples.shape[1:]]).encode())
        for block in split.blocks():
            for part in split.form.content(block):
                digest.update(part)
        digest.update(np.ascontiguousarray(split.labels_N).tobytes())
    return digest.hexdigest()
