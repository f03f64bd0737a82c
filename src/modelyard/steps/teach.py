"""Body of the step that asks a teacher: its logits for every training sample, by stored row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.machine.how import How
from modelyard.training.slices import EvaluateSlice


def run(slice: EvaluateSlice, given: Mapping[str, Path], out: Path, how: How) -> dict[str, Any]:
    """Leaves `answers.npz` in `out`."""
    raise NotImplementedError
