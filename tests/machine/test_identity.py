"""Who is known to be gone, and who only cannot be seen from here."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from modelyard.files import write_atomically
from modelyard.home import Home
from modelyard.machine import identity as module
from modelyard.machine.identity import hold_place, identity, is_gone, lives_here, own_identity
from tests.elsewhere import elsewhere


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "runs")


@pytest.fixture(scope="module")
def dead() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def renamed(name: str, pid: int) -> str:
    place, _, start = name.split("/")
    return f"{place}/{pid}/{start}"


def test_a_process_of_here_is_known_by_id_and_start(home: Home, dead: int) -> None:
    mine = own_identity(home)
    assert mine == identity(os.getpid()) and lives_here(mine) and not is_gone(mine, home)
    for other in (f"{mine}9", renamed(mine, dead)):
        assert is_gone(other, home) and not lives_here(other)


def test_the_time_of_day_may_be_set(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = identity(os.getpid())
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 1.0)
    assert identity(os.getpid()) == mine and not is_gone(mine, home)


@pytest.mark.parametrize(
    "kinds", [("namespace",), ("namespace", "host"), ("machine", "boot"), ("host", "machine", "boot")]
)
def test_of_another_container_or_machine_nothing_is_said(
    tmp_path: Path, home: Home, dead: int, kinds: tuple[str, ...]
) -> None:
    with elsewhere(tmp_path / "there", *kinds):
        theirs = identity(os.getpid())
    for name in (theirs, renamed(theirs, dead), f"{theirs}9"):
        assert not lives_here(name) and not is_gone(name, home)


def test_another_name_of_the_host_is_no_other_place(tmp_path: Path, home: Home, dead: int) -> None:
    with elsewhere(tmp_path / "there", "host"):
        name = identity(os.getpid())
    assert lives_here(name) and is_gone(renamed(name, dead), home)


@pytest.mark.parametrize(("kind", "is_gone_without_a_lock"), [("namespace", False), ("boot", True)])
def test_where_a_container_lives_a_lock_says_so(
    tmp_path: Path, home: Home, kind: str, is_gone_without_a_lock: bool
) -> None:
    """After a reboot nothing can live; but one whose lock is seen does, on another machine of the
    same name.
    """
    with elsewhere(tmp_path / "there", kind):
        theirs = identity(os.getpid())
        assert is_gone(theirs, home) is False
    assert is_gone(theirs, home) is is_gone_without_a_lock
    with elsewhere(tmp_path / "there", kind):
        hold_place.cache_clear()
        held = hold_place(home)
    assert held is not None and not is_gone(theirs, home)
    os.close(held)
    hold_place.cache_clear()
    assert is_gone(theirs, home)


def test_what_earlier_versions_wrote_is_read_as_it_was(home: Home, dead: int) -> None:
    start = psutil.Process().create_time()
    mine = f"process:{platform.node()}/{os.getpid()}/{start:.2f}"
    assert lives_here(mine) and not is_gone(mine, home)
    assert is_gone(renamed(mine, dead), home) and is_gone(
        f"process:{platform.node()}/{os.getpid()}/{start + 9:.2f}", home
    )
    assert not is_gone(f"process:another/{dead}/{start:.2f}", home)


def test_a_system_that_tells_nothing_knows_its_own(
    home: Home, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("MACHINE", "BOOT", "NAMESPACE"):
        monkeypatch.setattr(module, kind, Path("/nowhere/at/all"))
    mine = identity(os.getpid())
    assert lives_here(mine) and is_gone(renamed(mine, dead), home)
    monkeypatch.setattr(platform, "node", lambda: "another")
    assert not lives_here(mine) and not is_gone(mine, home)


@pytest.mark.parametrize(
    "name", ["", "process:", "process:/", "process:a:b/1/2", "process:a:b:c:d:e/x/y", "a word"]
)
def test_what_is_no_identity_is_nobody(home: Home, name: str) -> None:
    assert not lives_here(name) and not is_gone(name, home)


def test_two_containers_with_one_process_id_write_two_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    monkeypatch.setattr(Path, "replace", lambda self, target: names.append(self.name))
    for _ in range(2):
        write_atomically(tmp_path / "x", b"")
    assert len(set(names)) == 2
