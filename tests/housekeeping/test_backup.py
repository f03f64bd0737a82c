"""A backup is the whole store at one moment, whoever uses it meanwhile; what is not whole is
never restored.
"""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.errors import StoreError
from modelyard.home import Home
from modelyard.housekeeping.backup import UNFINISHED, backup, restore
from modelyard.registry import history
from modelyard.registry import versions as registry
from modelyard.registry.aliases import Move, move_alias
from modelyard.registry.standing import discrepancies
from modelyard.releases.pointers import read_pointers
from modelyard.tracking.store import open_store
from tests.blank import former_store

Members = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return former_store(tmp_path_factory.mktemp("former"))


@pytest.fixture(scope="module")
def file(home: Home) -> Path:
    backup(home, home.root.parent / "whole.tar")
    return home.root.parent / "whole.tar"


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for name in ("releases", "artifacts", "steps", "profiles")
        for path in (root / name).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_a_restored_store_is_the_store(home: Home, file: Path, tmp_path: Path) -> None:
    there = Home(tmp_path / "elsewhere")
    assert "ledgers of digits whole" in restore(there, file)
    assert files_of(there.root) == files_of(home.root)
    assert registry.versions(there, "digits") == registry.versions(home, "digits")
    assert history.verify(there, "digits") == history.verify(home, "digits")
    assert (
        sorted(path.name for path in there.root.iterdir() if path.match("*.bak") or path.name == UNFINISHED)
        == []
    )
    first = registry.versions(there, "digits")[0]
    move_alias(there, Move(first, "champion", "it goes on"), expected=2)


def test_a_store_that_differs_from_mlflow_is_restored_as_it_was(tmp_path: Path) -> None:
    used, there = former_store(tmp_path), Home(tmp_path / "there")
    open_store(used)[0].delete_model_version("digits", "1")
    backup(used, tmp_path / "differs.tar")
    restore(there, tmp_path / "differs.tar")
    (found,) = discrepancies(there)
    assert history.verify(there, "digits").problems == [str(found)]


def test_ledger_registry_and_releases_agree_although_aliases_move_meanwhile(tmp_path: Path) -> None:
    """A backup that is taken in the midst of moves is whole, and MLflow in it says what the ledger says."""
    used = former_store(tmp_path)
    known, stop = registry.versions(used, "digits"), threading.Event()

    def move() -> None:
        now = 2
        while not stop.is_set():
            now = 3 - now
            move_alias(used, Move(known[now - 1], "champion", "to and fro"), expected=3 - now)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        backup(used, tmp_path / "moving.tar")
    finally:
        stop.set()
        mover.join()
    there = Home(tmp_path / "restored")
    restore(there, tmp_path / "moving.tar")
    pointers = read_pointers(there.releases)
    aliases = {
        alias: version.number for version in registry.versions(there, "digits") for alias in version.aliases
    }
    served = {pointer.alias: int(pointer.version) for pointer in pointers.values()}
    assert served | {"previous": 0} == aliases | {"previous": 0}
    assert history.verify(there, "digits").problems == []


@pytest.mark.parametrize("moves", [0, 1, 4])
def test_a_restore_that_was_killed_is_done_again(
    moves: int, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, left, really = Home(tmp_path / "there"), iter(range(moves)), Path.replace

    def replace(path: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return really(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", replace)
        restore(there, file)
    assert not there.database.exists()
    assert "whole" in restore(there, file)


@pytest.mark.parametrize("name", ["mlflow.db", "releases/x/ledger.jsonl", "prefect/prefect.db", "steps/a/b"])
def test_nothing_that_is_there_is_overwritten(name: str, file: Path, tmp_path: Path) -> None:
    there = tmp_path / "there" / name
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    with pytest.raises(StoreError, match="holds a store already"):
        restore(Home(tmp_path / "there"), file)
    assert there.read_text() == "mine"


def _with(name: str, kind: bytes = tarfile.REGTYPE) -> Callable[[Members], Members]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    return lambda members: [(entry, b""), *members]


def _altered(members: Members) -> Members:
    return [
        (entry, content[::-1] if entry.name.endswith("ledger.jsonl") else content)
        for entry, content in members
    ]


def _of_another_format(members: Members) -> Members:
    entry, content = members[-1]
    text = json.dumps(json.loads(content) | {"format": 99}).encode()
    entry.size = len(text)
    return [*members[:-1], (entry, text)]


@pytest.mark.parametrize(
    "change",
    [
        _with("../out"),
        _with("/etc/cron.d/x"),
        _with("releases/../../out"),
        _with("locks/x"),
        _with("mlflow.db-wal"),
        _with("releases/x", tarfile.SYMTYPE),
        _with("releases/x", tarfile.LNKTYPE),
        _with("releases/x", tarfile.FIFOTYPE),
        _with("releases/x", tarfile.DIRTYPE),
        _with("releases/x", tarfile.GNUTYPE_SPARSE),
        _with("releases/unknown"),
        _altered,
        _of_another_format,
        lambda members: members[:-1],
        lambda members: members[1:],
        lambda members: [members[0], *members],
        lambda members: [],
    ],
)
def test_what_is_no_whole_backup_is_refused_and_leaves_nothing(
    change: Callable[[Members], Members], file: Path, tmp_path: Path
) -> None:
    with tarfile.open(file) as tar:
        members = [(entry, stream.read()) for entry in tar if (stream := tar.extractfile(entry))]
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        for entry, content in change(members):
            tar.addfile(entry, io.BytesIO(content))
    there = Home(tmp_path / "there")
    with pytest.raises(StoreError, match=r"backup|cut short|index"):
        restore(there, tmp_path / "bad.tar")
    assert list(there.root.iterdir()) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [0, 1000, 500_000])
def test_a_file_that_was_cut_is_refused(size: int, file: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.tar").write_bytes(file.read_bytes()[:size])
    with pytest.raises(StoreError, match=r"cut short|cannot be read|not as it was"):
        restore(Home(tmp_path / "there"), tmp_path / "cut.tar")


def test_a_backup_is_a_new_file_outside_the_store(home: Home, file: Path) -> None:
    before = file.read_bytes()
    for wrong in (file, home.root / "inside.tar", home.releases / "inside.tar"):
        with pytest.raises(StoreError, match="name a new file outside"):
            backup(home, wrong)
    assert file.read_bytes() == before
