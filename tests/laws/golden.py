"""Values that the commit before the rebuilding (2f58f3d) gave, in JSON files beside this module.

    python -m tests.laws.golden recipes|command|training

writes a file anew: only when a difference is wanted, and the commit says why.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "golden"
ABSENT = "(absent)"


def read(name: str) -> Any:
    """The values of `golden/NAME.json`."""
    return json.loads((FOLDER / f"{name}.json").read_text())


@dataclass(frozen=True, slots=True)
class Tolerance:
    """By how much decimals may differ."""

    relative: float = 0.0
    absolute: float = 0.0


def differences(
    expected: Any, present: Any, tolerance: Tolerance = Tolerance(), path: str = ""
) -> Iterator[str]:
    """A line for each leaf that differs."""
    if isinstance(expected, dict) and isinstance(present, dict):
        for key in dict.fromkeys([*expected, *present]):
            before, now = expected.get(key, ABSENT), present.get(key, ABSENT)
            yield from differences(before, now, tolerance, f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(present, list) and len(expected) == len(present):
        for number, (before, now) in enumerate(zip(expected, present, strict=True)):
            yield from differences(before, now, tolerance, f"{path}/{number}")
    elif isinstance(expected, float) and isinstance(present, float):
        if not math.isclose(expected, present, rel_tol=tolerance.relative, abs_tol=tolerance.absolute):
            yield f"{path}: {expected} -> {present}"
    elif (type(expected), expected) != (type(present), present):
        yield f"{path}: {expected!r} -> {present!r}"


def write(name: str) -> None:
    """A line for each value of the first two levels, so that a change shows in few lines."""
    with tempfile.TemporaryDirectory() as folder:
        tree = importlib.import_module(f"tests.laws.test_{name}_golden").present(Path(folder))
    lines = [
        f"{json.dumps(first)}: {{\n"
        + ",\n".join(f" {json.dumps(second)}: {json.dumps(value)}" for second, value in values.items())
        + "\n}"
        for first, values in tree.items()
    ]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    for word in sys.argv[1:]:
        write(word)
