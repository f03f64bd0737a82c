"""Rows of texts, read one by one, into a file of bytes and what belongs to each. T bytes of all, N rows."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from modelyard.samples.ragged import Ragged
from modelyard.samples.text import UnreadableText, clean_text
from modelyard.samples.text_form import TextForm
from modelyard.sources.texts.values import NUMBERS, as_label, as_sample

REPRS = ("b'", 'b"')
NAMED = 5
"""Rows that a fault names."""
SPLITS = ("", "train", "validation", "test")
Row = tuple[str, object, object, str]
"""Where it is, text, label and split, which is empty where none is given."""


@dataclass(slots=True)
class Faults:
    """Rows that cannot be taken, by what is wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    first: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, fault: str, where: str) -> None:
        """Another row."""
        self.counts[fault] += 1
        if len(self.first[fault]) < NAMED:
            self.first[fault].append(where)

    def told(self) -> list[str]:
        """A line each, for people."""
        return [
            f"rows that {fault}: {count:,} ({self.examples(fault)})" for fault, count in self.counts.items()
        ]

    def examples(self, fault: str) -> str:
        """Where the first ones are."""
        return ", ".join(self.first[fault]) + " and others" * (self.counts[fault] > NAMED)


@dataclass(slots=True)
class Collected:
    """What was read."""

    form: TextForm
    lengths: array[int] = field(default_factory=lambda: array("q"))
    """Bytes of each text."""
    labels: array[int] = field(default_factory=lambda: array("q"))
    """Number of each label, in the order in which they came; -1: none."""
    splits: array[int] = field(default_factory=lambda: array("b"))
    """Place in `SPLITS`."""
    names: dict[str, int] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    unlabelled: Faults = field(default_factory=Faults)
    """Rows without a label, by split."""
    cut: int = 0
    longest: int = 0
    """Characters, before it was cut."""
    empty: int = 0
    numbers: int = 0
    reprs: int = 0
    label_types: set[str] = field(default_factory=set)

    def take(self, rows: Iterator[Row], stream: IO[bytes]) -> Iterator[int]:
        """All rows; tells how many there are after each of them."""
        for where, value, label_value, split in rows:
            try:
                text, label = as_sample(value), as_label(label_value)
                clean = clean_text(text, self.form.longest)
            except UnreadableText as error:
                self.faults.add(str(error).removesuffix("; remove it").replace("a text holds", "hold"), where)
                continue
            if label:
                self.label_types.add(type(label_value).__name__)
            else:
                self.unlabelled.add(split, where)
            self._count(value, text, clean)
            content = clean.encode()
            stream.write(content)
            self.lengths.append(len(content))
            self.labels.append(self.names.setdefault(label, len(self.names)) if label else -1)
            self.splits.append(SPLITS.index(split))
            yield len(self.lengths)

    def _count(self, value: object, text: str, clean: str) -> None:
        if len(text) > self.form.longest and len(clean) == self.form.longest:
            self.cut += 1
        self.longest = max(self.longest, len(text))
        self.empty += not clean.strip()
        self.numbers += isinstance(value, NUMBERS)
        self.reprs += text.startswith(REPRS) and len(text) > 2 and text[-1] == text[1]

    def stored(self, flat: Path) -> Ragged:
        """The texts, mapped into memory from the file that they were written to."""
        flat_T: NDArray[np.uint8] = (
            np.memmap(flat, np.uint8, "r") if flat.stat().st_size else np.zeros(0, np.uint8)
        )
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(self.lengths, np.int64))])
        return Ragged(flat_T, ends, self.form)
