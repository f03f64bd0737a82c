"""Blank samples as a network takes them: it is tried, and measured, on them."""

from __future__ import annotations

import torch
from torch import Tensor

from modelyard.samples import Form


def blank_inputs(form: Form, rows: int, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
    """The arguments of `forward` for so many samples, batch first."""
    return tuple(torch.from_numpy(array).to(device) for array in form.network_inputs(rows))
