"""Whoever works for a store proves that it is the same one, before anything is written."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.errors import AnotherStoreError
from modelyard.home import Home
from modelyard.machine.leases import in_use
from modelyard.machine.store_mark import StoreMark, make_mark, read_id


@pytest.fixture
def home(store: Path) -> Home:
    return Home(store / "runs")


@pytest.fixture
def mark(home: Home) -> Iterator[StoreMark]:
    """As it arrives, while who asks holds a lease; a copy of the store as it was before lies beside it."""
    make_mark(home)
    shutil.copytree(home.root, home.root.with_name("copy"))
    with in_use(home) as lease:
        yield StoreMark.model_validate_json(make_mark(home, lease).model_dump_json())


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_store_keeps_its_id(home: Home, mark: StoreMark) -> None:
    mark.require()
    assert mark.id == make_mark(home).id == read_id(home) == (home.state / "store-id").read_text()


@pytest.mark.parametrize("kind", ["no store", "the store f{16}", "a copy of it"])
def test_the_same_path_on_another_disk_is_another_store(home: Home, mark: StoreMark, kind: str) -> None:
    home.root.rename(home.root.with_name("driver"))
    if "copy" in kind:
        home.root.with_name("copy").rename(home.root)
    elif "f" in kind.rsplit(maxsplit=1)[-1]:
        home.state.mkdir(parents=True)
        (home.state / "store-id").write_text("f" * 16)
    before = files(home.root.parent)
    with pytest.raises(
        AnotherStoreError, match=f"expected the store {mark.id} at {home.root} .* found {kind} .*: mount"
    ) as told:
        mark.require()
    assert platform.node() in str(told.value) and "\n" not in str(told.value)
    assert files(home.root.parent) == before


def test_another_path_is_another_store_except_for_a_schedule(
    home: Home, mark: StoreMark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow keeps whole paths; a schedule is to outlive a move and a backup that is put back."""
    scheduled = make_mark(home)
    assert str(home.root) not in scheduled.model_dump_json()
    moved = home.root.with_name("copy")
    monkeypatch.setenv("MODELYARD_HOME", str(moved))
    scheduled.require()
    with pytest.raises(AnotherStoreError, match=f"found the store {mark.id} at {moved}"):
        mark.require()


def test_who_asked_is_gone(home: Home) -> None:
    with in_use(home) as lease:
        mark = make_mark(home, lease)
    with pytest.raises(AnotherStoreError):
        mark.require()


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"\xff\xfe", b"x" * 101])
def test_a_damaged_id_is_made_anew(home: Home, content: bytes) -> None:
    home.state.mkdir(parents=True)
    (home.state / "store-id").write_bytes(content)
    assert read_id(home) == ""
    assert make_mark(home).id == read_id(home) != ""
