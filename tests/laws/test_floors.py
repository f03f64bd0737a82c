"""The floors of the house: which room may import which. Imports within functions and for types
alone count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = (
    ("__init__", "terminal"),
    ("errors",),
    ("files",),
    ("seals",),
    ("home", "config", "progress"),
    ("machine", "samples"),
    ("bundle",),
    ("releases",),
    ("inference", "data", "tracking"),
    ("evaluation",),
    ("models", "sources", "registry"),
    ("mirror",),
    ("inspection", "training"),
    ("export",),
    ("promotion",),
    ("recipes", "housekeeping"),
    ("steps",),
    ("alerts", "operations", "console", "sweeps"),
    ("flows",),
    ("api",),
    ("cli",),
    ("__main__",),
)
"""Lowest first; rooms of one floor never import each other. Serving stands beside them (`SERVING`)."""
SERVING = {
    "terminal", "errors", "files", "home", "samples", "bundle", "releases",
    "inference.session", "inference.doubts", "machine.cores", "__init__",
}  # fmt: skip
"""All that a server imports of the package: it must start without torch, MLflow, Prefect and pydantic."""
SERVERS = {"cli", "operations", "flows.door"}
"""Who may import serving: the commands, the supervisor, and the proxy that checks hosts and origins by the
same rules.
"""
FACE = {("__init__", "api"), ("__init__", "inference")}
"""`import modelyard` names, for type checkers, what it loads on first use."""
OUTSIDE = {
    "prefect": {"flows"},
    "mlflow": {"tracking", "registry", "mirror", "promotion.repairs"},
    "torch": {
        "data",
        "evaluation",
        "models",
        "training",
        "export",
        "steps",
        "machine",
        "console",
        "recipes",
        "flows",
        "sources.named",
    },
    "typer": {"cli", "terminal"},
}
"""Package -> rooms and modules that know it."""


def test_each_module_is_in_a_room_with_a_floor() -> None:
    known = {room for floor in FLOORS for room in floor} | {"serving"}
    assert {room_of(module) for module in modules()} == known


def test_a_room_imports_only_rooms_below_it() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    wrong = [
        f"{a} -> {b}"
        for a, b in arrows()
        if "serving" not in {room_of(a), room_of(b)}
        and (room_of(a), room_of(b)) not in FACE
        and floor[room_of(a)] <= floor[room_of(b)]
    ]
    assert not wrong


def test_serving_stands_on_the_ground_alone() -> None:
    assert not [f"{a} -> {b}" for a, b in arrows() if room_of(a) == "serving" and not within(b, SERVING)]
    assert not [f"{a} -> {b}" for a, b in arrows() if room_of(b) == "serving" and not within(a, SERVERS)]


def test_no_module_imports_itself_by_a_circle() -> None:
    below: dict[str, set[str]] = {module: set() for module in modules()}
    for a, b in imports():
        if (room_of(a), room_of(b)) not in FACE:
            below[a].add(b)
    while leaves := {module for module, used in below.items() if not used}:
        below = {module: used - leaves for module, used in below.items() if module not in leaves}
    while roofs := below.keys() - {name for used in below.values() for name in used}:
        below = {module: used for module, used in below.items() if module not in roofs}
    assert not below


@pytest.mark.parametrize("package", OUTSIDE)
def test_a_library_is_known_in_few_rooms(package: str) -> None:
    used = {module for module in modules() if package in {name.split(".")[0] for name in imported(module)}}
    assert used, f"nobody imports {package}: the table is out of date"
    assert not {module for module in used if not within(module, OUTSIDE[package])}


def test_few_modules_lie_outside_rooms() -> None:
    loose = {path.stem for path in (ROOT / "src/modelyard").glob("*.py")}
    assert len(loose) <= 10


@pytest.mark.parametrize("most", [250])
def test_no_file_is_long(most: int) -> None:
    assert not {
        str(path): n for path in modules().values() if (n := len(path.read_text().splitlines())) > most
    }


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, of both packages."""
    files = [*(ROOT / "src/modelyard").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]
    return {dotted(file): file for file in files}


def dotted(file: Path) -> str:
    parts = (
        file.relative_to(ROOT / "src" if "src" in file.relative_to(ROOT).parts else ROOT)
        .with_suffix("")
        .parts
    )
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """`modelyard.data.splits` -> `data`."""
    package, _, rest = module.partition(".")
    return package if package == "flows" else rest.split(".")[0] or "__init__"


def within(module: str, names: set[str]) -> bool:
    """Whether the module, or a room around it, is among `names`."""
    name = module.removeprefix("modelyard.").replace("modelyard", "__init__")
    return any(name == known or name.startswith(f"{known}.") for known in names)


def imports() -> Iterator[tuple[str, str]]:
    """Importing module, imported module, both ours."""
    for module in modules():
        yield from ((module, name) for name in imported(module) if name in modules())


def arrows() -> list[tuple[str, str]]:
    """Imports from one room to another."""
    return [(a, b) for a, b in imports() if room_of(a) != room_of(b)]


@cache
def imported(module: str) -> frozenset[str]:
    """Dotted names that a module imports; of ours the module, where a package's member is one."""
    names = set()
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (whole & modules().keys()) | ({node.module} if whole - modules().keys() else set())
    return frozenset(names)
