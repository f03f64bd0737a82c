"""Deterministic kernels on a CUDA device during a training."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""Without it cuBLAS may add in any order; read when CUDA starts."""


@contextmanager
def equal_seeds_equal_weights(device: torch.device) -> Iterator[None]:
    """Deterministic kernels of this device inside; nothing to do on a CPU, whose kernels are.

    Where torch has none it says so (a warning), since a user's own module may need one.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault(*WORKSPACE)
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )
    _ask(True, True, True, False)
    try:
        with torch.cuda.device(device):
            yield
    finally:
        _ask(*before)


def _ask(algorithms: bool, warn_only: bool, cudnn: bool, filled: bool) -> None:
    torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
    torch.backends.cudnn.deterministic = cudnn
    torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
