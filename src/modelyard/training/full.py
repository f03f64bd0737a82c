"""A device without room for a training, told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from modelyard.errors import TrainingError

FULL = ("out of memory", "ALLOC_FAILED", "can't allocate memory")
"""Texts of CUDA, cuBLAS and torch's CPU allocator; torch's CUDA allocator has an error class of its own."""


@contextmanager
def told_when_full(device: torch.device, batch_size: int, many: str = "samples") -> Iterator[None]:
    """Raises: TrainingError with a remedy where memory ran out inside; `many` are in the batches."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(sign in str(error) for sign in FULL):
            raise
        raise TrainingError(
            f"the memory of {device} ran out in batches of {batch_size} {many}{_room(device)}; "
            "lower training.batch_size"
            f" or end what else holds it{' (nvidia-smi)' * (device.type == 'cuda')}; the "
            "checkpoint of good epochs is kept"
        ) from error


def _room(device: torch.device) -> str:
    """How much there is, and how much others hold, where the device can still be asked."""
    with suppress(RuntimeError, AssertionError):  # no room even to ask
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            others = total - free - torch.cuda.memory_reserved(device)
            return (
                f" ({total / 1e9:.1f} GB, {max(0, others) / 1e9:.1f} of them held outside this "
                "training's tensors)"
            )
    return ""
