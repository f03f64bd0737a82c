"""Seeded batches from images resident on the device, gathered there. B batch, C channels, H
height, W width.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from modelyard.data.datasets import Samples, Split
from modelyard.machine.memory import available_bytes

READERS, BATCHES_AHEAD = 4, 8
"""Streaming: rows lie anywhere in the file, so several reads wait for the disk at once while the model
computes.
"""
RESIDENT_SHARE = 0.4
"""Share of the device's free memory that a training split may take."""


class ImageFeed:
    """A split's images on the device as uint8, or streamed from disk where they exceed the memory."""

    def __init__(self, split: Split, device: torch.device, *, resident: bool | None = None) -> None:
        self._split, self._device = split, device
        self.labels_N = torch.tensor(split.labels_N, device=device)
        is_resident = split.nbytes < free_bytes(device) * RESIDENT_SHARE if resident is None else resident
        self._images_NCHW = torch.from_numpy(split.in_memory).to(device) if is_resident else None
        if not is_resident:
            _expect_random_reads(split.samples)

    def __len__(self) -> int:
        return len(self.labels_N)

    def rows(self, rows_B: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [B, C, H, W] and int64 [B] for int64 row numbers [B]."""
        if self._images_NCHW is not None:
            return self._images_NCHW[rows_B], self.labels_N[rows_B]
        images_BCHW = torch.from_numpy(self._split.gather(rows_B.cpu().numpy())).to(self._device)
        return images_BCHW, self.labels_N[rows_B]

    def batches(self, order_M: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Row numbers, images and labels of the rows in `order_M`; a last batch of one is left out (batch
        norm needs two).
        """
        chosen = (rows_B for rows_B in torch.split(order_M.to(self._device), batch_size) if len(rows_B) > 1)
        return (
            self._ahead(chosen)
            if self._images_NCHW is None
            else ((rows_B, *self.rows(rows_B)) for rows_B in chosen)
        )

    def _ahead(self, chosen: Iterator[Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The same from disk, the next batches being read meanwhile."""
        waiting: deque[tuple[Tensor, Future[tuple[Tensor, Tensor]]]] = deque()
        with ThreadPoolExecutor(READERS) as pool:
            for rows_B in chosen:
                waiting.append((rows_B, pool.submit(self.rows, rows_B)))
                if len(waiting) > BATCHES_AHEAD:
                    first_B, read = waiting.popleft()
                    yield first_B, *read.result()
            for rows_B, read in waiting:
                yield rows_B, *read.result()


def _expect_random_reads(samples: Samples) -> None:
    """Tell the kernel not to read 128 KB around every image of a mapped file."""
    base: object = samples
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
        base.madvise(mmap.MADV_RANDOM)


def free_bytes(device: torch.device) -> int:
    """Free memory where the images would lie."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_bytes()


def to_unit_range(images_BCHW: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1."""
    return images_BCHW.float() / 255
