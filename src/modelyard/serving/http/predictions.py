"""What `/predict` answers, whatever was sent. K classes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from modelyard.samples.names import PROBABILITIES
from modelyard.serving.models.served import Served


def predictions(
    served: Served, outputs: Sequence[NDArray[Any]], warned: Sequence[list[str]]
) -> list[dict[str, object]]:
    """Label and probabilities of each row, and what speaks against it."""
    names = [spec.name for spec in served.engine.outputs]
    rows = outputs[names.index(PROBABILITIES)].tolist()
    return [_prediction(served, row_K, told) for row_K, told in zip(rows, warned, strict=True)]


def _prediction(served: Served, probabilities_K: list[float], warned: list[str]) -> dict[str, object]:
    best = max(range(len(probabilities_K)), key=probabilities_K.__getitem__)
    return {
        "label": served.manifest.classes[best],
        "probability": probabilities_K[best],
        PROBABILITIES: dict(zip(served.manifest.classes, probabilities_K, strict=True)),
        **({"warnings": warned} if warned else {}),
    }


def by_whom(served: Served, started: float) -> dict[str, object]:
    """Who answered, and in how many milliseconds since `started`."""
    return {
        "model": served.name,
        "version": served.version,
        "ms": round((time.perf_counter() - started) * 1e3, 3),
    }
