"""The page of the architecture names floors, rooms, files and functions as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.laws.test_floors import FLOORS, ROOT, modules

PAGE = ROOT / "docs/architecture.md"
ROOMS = {path.parent.name for path in (ROOT / "src/modelyard").glob("*/__init__.py")}


def test_the_floors_are_those_of_the_test() -> None:
    (order,) = re.findall(r"^    __init__ .*?__main__$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert tuple(tuple(floor.split()) for floor in order.split("<")) == FLOORS


@pytest.mark.parametrize("page", [PAGE, ROOT / "README.md"], ids=lambda page: page.name)
def test_the_tree_has_every_room(page: Path) -> None:
    tree = " ".join(line for line in page.read_text().splitlines() if line.startswith("    "))
    assert {room for room in ROOMS if f"{room}/" not in tree} == set()


def test_each_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", PAGE.read_text()))
    files = {str(path.relative_to(ROOT)) for path in modules().values()}
    known = files | {file.removeprefix("src/modelyard/") for file in files}
    lost = {name for name in named - known if "NAME" not in name}
    assert {name for name in lost if not (ROOT / name).is_file()} == set()


def test_each_name_in_capitals_or_of_a_class_is_written_in_the_package() -> None:
    text = "\n".join(path.read_text() for path in modules().values())
    names = set(re.findall(r"`([A-Z_]{4,}|(?:[A-Z][a-z]+){2,})[`.(]", PAGE.read_text()))
    assert len(names) > 20
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} <= {"FLOORS"}
