"""What several rooms agree on is declared in one file."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from modelyard.bundle import PARITY_TOLERANCE

ROOT = Path(__file__).parents[2]


def test_the_parity_tolerance_is_declared_once() -> None:
    rooms = [ROOT / "src/modelyard" / room for room in ("export", "serving", "registry", "promotion")]
    files = [ROOT / "src/modelyard/bundle.py", *(ROOT / "benchmarks/peers").rglob("*.py")]
    files += [file for room in rooms for file in room.rglob("*.py")]
    assert holding(files, PARITY_TOLERANCE) == {"bundle.py"}


def test_the_default_device_is_declared_once() -> None:
    files = [file for package in ("src", "flows") for file in (ROOT / package).rglob("*.py")]
    assert not [
        file for file in files if re.search(r"\bdevice: (str|Annotated\[.*) = [\"']", file.read_text())
    ]


@pytest.mark.parametrize("name", [".alias", "ledger.jsonl", "ledger.head"])
def test_the_files_of_a_release_folder_are_named_in_one_room(name: str) -> None:
    files = [file for package in ("src", "flows") for file in (ROOT / package).rglob("*.py")]
    spelled = {file.parent.name for file in files for text in texts(file) if name in text}
    assert spelled == {"releases"}


def test_what_is_private_to_mlflow_is_used_in_one_file() -> None:
    modules = [file for package in ("src", "flows") for file in (ROOT / package).rglob("*.py")]
    assert {file.name for file in modules if private_to_mlflow(file)} == {"mlflow_internals.py"}


def private_to_mlflow(file: Path) -> list[str]:
    """Private names that a module imports from MLflow, and private variables of its server."""
    imports = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    names = [
        alias.name
        for node in imports
        if (node.module or "").split(".")[0] == "mlflow"
        for alias in node.names
        if alias.name.startswith("_") or "._" in f"{node.module}"
    ]
    return names + [text for text in texts(file) if text.startswith("_MLFLOW")]


@cache
def texts(file: Path) -> list[str]:
    """What a module says, but for docstrings and comments."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    said = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in said]
    return [node.value for node in constants if isinstance(node.value, str)]


def holding(files: list[Path], value: object) -> set[str]:
    """Names of the files in which this value is written down."""
    return {
        file.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value
    }
