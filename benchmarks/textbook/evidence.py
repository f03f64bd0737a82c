"""Measured trainings as JSON lines, and the ratios that may be drawn from them."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MARKS_TO_TRIM = 5
"""From this many on, the fastest and the slowest are dropped (MLPerf's rule for timed results)."""

UNITS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "bf16", "amx_bf16": "AMX"}
"""Of a processor, by what Linux calls them: what its speed at training depends on."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of one training: the end of an epoch of a textbook, or the end of a training of ours."""

    name: str
    seed: int
    epoch: int
    accuracy: float
    """On the test images, as a share of one."""
    loop: float
    """Seconds since the images were in memory, evaluations included."""
    wall: float
    """Seconds since the process began."""


class Evidence:
    """Marks in a file; what it holds already is not measured again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.marks = [Mark(**entry) for line in lines if "name" in (entry := json.loads(line))]
        if not lines:
            self._write({"machine": machine(), "date": time.strftime("%Y-%m-%d")})

    def add(self, mark: Mark) -> None:
        """Keep it."""
        self.marks.append(mark)
        self._write(asdict(mark))

    def of(self, name: str, seed: int) -> list[Mark]:
        """The epochs of one training in order."""
        return sorted(
            (mark for mark in self.marks if (mark.name, mark.seed) == (name, seed)),
            key=lambda mark: mark.epoch,
        )

    def seeds(self, name: str) -> list[int]:
        """The seeds that were measured."""
        return sorted({mark.seed for mark in self.marks if mark.name == name})

    def last(self, name: str) -> list[Mark]:
        """The end of each training."""
        return [self.of(name, seed)[-1] for seed in self.seeds(name)]

    def first_at(self, name: str, accuracy: float) -> list[Mark]:
        """The first epoch of each training that reaches `accuracy`; those that never do are left out."""
        reached = [
            next((mark for mark in self.of(name, seed) if mark.accuracy >= accuracy), None)
            for seed in self.seeds(name)
        ]
        return [mark for mark in reached if mark is not None]

    def _write(self, entry: dict[str, object]) -> None:
        with self._path.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")


def machine() -> str:
    """Processor and number of usable cores."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor()
    )
    flags = next((line for line in lines if line.startswith("flags")), "")
    units = [unit for flag, unit in UNITS.items() if flag in flags]
    return f"{name}, {sum(line.startswith('processor') for line in lines)} cores, {', '.join(units)}"


def trimmed(seconds: Sequence[float]) -> list[float]:
    """Without the fastest and the slowest where there are enough."""
    return sorted(seconds)[1:-1] if len(seconds) >= MARKS_TO_TRIM else sorted(seconds)


def ratio(theirs: Sequence[Mark], ours: Sequence[Mark], clock: str = "loop") -> tuple[float, float, float]:
    """Mean of their seconds over the mean of ours, trimmed; with the least and the largest that single
    trainings give.
    """
    their_seconds, our_seconds = (
        trimmed([getattr(mark, clock) for mark in marks]) for marks in (theirs, ours)
    )
    middle = statistics.mean(their_seconds) / statistics.mean(our_seconds)
    return middle, their_seconds[0] / our_seconds[-1], their_seconds[-1] / our_seconds[0]


def mean_accuracy(marks: Sequence[Mark]) -> float:
    """Of all trainings; quality is never trimmed."""
    return statistics.mean(mark.accuracy for mark in marks)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean (least-most)."""
    middle = f"{statistics.mean(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}-{max(values):.{digits}f})"
