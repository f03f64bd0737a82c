"""mypy skips rooms of other packages that no type of ours is made of: nobody here imports from them."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMPORT = re.compile(r"^\s*(?:from ([\w.]+) import (\([^)]*\)|.+)|import (.+))$", re.MULTILINE)
FOR_ITS_EFFECT = {"torch._dynamo"}
"""Imported, but nothing of it is used."""


@cache
def modules_of(follow: str) -> list[str]:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    return next(found["module"] for found in overrides if found.get("follow_imports") == follow)


@cache
def is_skipped(name: str) -> bool:
    """As mypy decides: what is named whole goes before a pattern, and a pattern means its own room, too."""
    return name not in modules_of("normal") and any(
        name == pattern.removesuffix(".*") or fnmatchcase(name, pattern) for pattern in modules_of("skip")
    )


def imported(text: str) -> set[str]:
    """Every module that a file imports, or imports a name from; `from a import b` may mean `a.b`."""
    found = set[str]()
    for module, names, modules in IMPORT.findall(text):
        found |= set(re.findall(r"[\w.]+", modules or module))
        if module and module not in modules_of("normal"):  # there it is a class or a function
            found |= {f"{module}.{name}" for name in re.findall(r"\w+", names)}
    return found


def test_nothing_is_imported_that_mypy_skips() -> None:
    files = [
        file for folder in ("src", "flows", "tests", "benchmarks") for file in (ROOT / folder).rglob("*.py")
    ]
    assert len(files) > 100
    skipped = {name: file for file in files for name in imported(file.read_text()) if is_skipped(name)}
    assert set(skipped) == FOR_ITS_EFFECT, skipped


@pytest.mark.parametrize(
    ("name", "skipped"),
    [
        ("torch", False), ("torch.nn", False), ("torch.distributed", True), ("torch.distributed.fsdp", True),
        ("prefect.server.api.server", False), ("prefect.server.api.runs", True), ("distributed", False),
    ],
)  # fmt: skip
def test_it_is_seen_what_is_skipped(name: str, skipped: bool) -> None:
    assert is_skipped(name) == skipped
