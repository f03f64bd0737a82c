"""Batches of a split's images: resident on the device and gathered there, or streamed from disk.

B batch, C channels, H height, W width, M images of an epoch, N of the split.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from modelyard.data.datasets import Rows, Split, evaluated_rows
from modelyard.machine.memory import available_bytes
from modelyard.samples import Form, Stored

READERS, BATCHES_AHEAD = 4, 8
"""Streaming: rows lie anywhere in the file, so several reads wait for the disk at once while the model
computes.
"""
VALUES_AT_ONCE = 2**17
"""Of samples that differ in length, when they are evaluated: each becomes hundreds of numbers."""
RESIDENT_SHARE = 0.4
"""Share of the device's free memory that a training split may take."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a split, on the device."""

    rows_B: Tensor
    """int64, numbers of rows in the split; on the CPU."""
    inputs: tuple[Tensor, ...]
    """What the network is called with, batch first; uint8 [B, C, H, W] before an objective's views."""
    labels_B: Tensor
    """int64; `UNKNOWN` where no label is known."""
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    """What else is known of each row [B, ...], by name."""


class Feed:
    """A split's images on the device as uint8, or streamed from disk where they exceed the memory."""

    def __init__(self, split: Split, device: torch.device, *, resident: bool | None = None) -> None:
        self._split, self._device = split, device
        self.labels_N = torch.tensor(split.labels_N, device=device)
        self.columns = {name: torch.tensor(column, device=device) for name, column in split.columns.items()}
        fits = split.nbytes < free_bytes(device) * RESIDENT_SHARE if resident is None else resident
        is_resident = fits and isinstance(split.samples, np.ndarray)  # others differ in length
        self._samples_N = torch.from_numpy(split.in_memory).to(device) if is_resident else None

    def __len__(self) -> int:
        return len(self.labels_N)

    @property
    def form(self) -> Form:
        """What each sample is as it is fed."""
        return self._split.form

    def part(self, rows_N: Rows) -> Feed:
        """These rows alone, read when they are asked for."""
        return Feed(self._split.take(rows_N), self._device, resident=False)

    def batches(self, rows: Sequence[Tensor]) -> Iterator[Batch]:
        """A batch for each int64 tensor of row numbers [B] (on the CPU), in that order."""
        if self._samples_N is None:
            return self._ahead(rows)
        # one copy to the device for all of them: each copy would wait for the steps before it
        placed = torch.split(torch.cat(list(rows)).to(self._device), [len(rows_B) for rows_B in rows])
        return (self._resident(*pair, self._samples_N) for pair in zip(rows, placed, strict=True))

    def in_blocks(self, most: int = 512) -> Iterator[Batch]:
        """All rows once, at most `most` at once: fewer where samples are large. In order; the shortest first
        where they differ in length.
        """
        lengths_N, size = self._split.lengths_N, evaluated_rows(self._split.form, most)
        if lengths_N is not None:
            yield from map(self._read, _blocks_by_length(lengths_N, most))
            return
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            samples_B = (
                torch.from_numpy(self._split.gather(part)).to(self._device)
                if self._samples_N is None
                else self._samples_N[part]
            )
            columns = {name: column[part] for name, column in self.columns.items()}
            yield Batch(
                torch.arange(start, start + len(samples_B)), (samples_B,), self.labels_N[part], columns
            )

    def _resident(self, rows_B: Tensor, placed_B: Tensor, samples_N: Tensor) -> Batch:
        columns = {name: column[placed_B] for name, column in self.columns.items()}
        return Batch(rows_B, (samples_N[placed_B],), self.labels_N[placed_B], columns)

    def _read(self, rows_B: Tensor) -> Batch:
        samples_B = torch.from_numpy(self._split.gather(rows_B.numpy())).to(self._device)
        placed_B = rows_B.to(self._device)
        columns = {name: column[placed_B] for name, column in self.columns.items()}
        return Batch(rows_B, (samples_B,), self.labels_N[placed_B], columns)

    def _ahead(self, rows: Sequence[Tensor]) -> Iterator[Batch]:
        """From disk, the next batches being read meanwhile."""
        _expect_random_reads(self._split.samples)
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(READERS) as pool:
            for rows_B in rows:
                waiting.append(pool.submit(self._read, rows_B))
                if len(waiting) > BATCHES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def _blocks_by_length(lengths_N: Rows, most: int) -> Iterator[Tensor]:
    """Rows [B] of like length, so many that padded they have `VALUES_AT_ONCE` at most, but one at least."""
    order_N = lengths_N.argsort(kind="stable")
    start = 0
    while start < len(order_N):
        some_B = order_N[start : start + most]
        totals_B = lengths_N[some_B] * np.arange(1, len(some_B) + 1)
        size = max(1, int((totals_B <= VALUES_AT_ONCE).sum()))
        yield torch.from_numpy(some_B[:size])
        start += size


def _expect_random_reads(samples: Stored) -> None:
    """Tell the kernel not to read 128 KB around every image of a mapped file."""
    base: object = samples
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
        base.madvise(mmap.MADV_RANDOM)


def free_bytes(device: torch.device) -> int:
    """Free memory where the images would lie."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()


def network_input(samples_B: Tensor) -> Tensor:
    """Pixels (uint8) -> float32 0..1, channels last; symbols (int32) as they are."""
    if samples_B.dtype != torch.uint8:
        return samples_B
    return to_unit_range(samples_B).contiguous(memory_format=torch.channels_last)


def to_unit_range(samples_B: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1."""
    return samples_B.float() / 255
