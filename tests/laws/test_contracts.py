"""What several rooms agree on is declared in one file."""

from __future__ import annotations

import ast
from pathlib import Path

from modelyard.bundle import PARITY_TOLERANCE

ROOT = Path(__file__).parents[2]


def test_the_parity_tolerance_is_declared_once() -> None:
    rooms = [ROOT / "src/modelyard" / room for room in ("export", "serving", "registry", "promotion")]
    files = [ROOT / "src/modelyard/bundle.py", *(ROOT / "benchmarks/peers").rglob("*.py")]
    files += [file for room in rooms for file in room.rglob("*.py")]
    assert holding(files, PARITY_TOLERANCE) == {"bundle.py"}


def holding(files: list[Path], value: object) -> set[str]:
    """Names of the files in which this value is written down."""
    return {
        file.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value
    }
