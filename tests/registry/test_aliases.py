"""Ledger, registry and alias files never disagree for long: at once, killed, or where one cannot
be written.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
from contextlib import closing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from modelyard.errors import AliasMovedError, StoreError
from modelyard.home import Home
from modelyard.registry.aliases import move_alias, restore_alias, settle
from modelyard.registry.heads import registry_head
from modelyard.releases.chain import problems
from modelyard.releases.ledger import HEAD_FILE, LEDGER_FILE, read_head, read_ledger
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.registry.movers import a_move, agreed, champion, climb, die_after


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Children of a fresh process that has imported all this once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.registry.movers"])
    return context


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    return templates.store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def model(home: Home, request: pytest.FixtureRequest) -> str:
    """A model with versions 1 to 9, named as its test."""
    client, _ = open_store(home)
    name: str = request.node.name
    client.create_registered_model(name)
    for number in range(1, 10):
        client.create_model_version(name, "nowhere", tags={"onnx_sha256": str(number)})
    return name


def test_a_move_is_refused_where_the_alias_is_not_where_it_was_seen(home: Home, model: str) -> None:
    move_alias(home, a_move(model, 1), expected=None)
    move_alias(home, a_move(model, 2), expected=1)
    with pytest.raises(
        AliasMovedError, match=r"@champion moved to version 2 meanwhile; look at it and try again"
    ):
        move_alias(home, a_move(model, 3), expected=1)
    assert agreed(home, model) == {"champion": 2, "previous": 1}
    move_alias(home, a_move(model, 2), expected=2)
    assert len(read_ledger(home.releases / model).lines) == 3, "going where it is writes nothing"


def test_processes_at_once_lose_no_move(home: Home, model: str, processes: ForkServerContext) -> None:
    climbers = [processes.Process(target=climb, args=(home.root, model, 3)) for _ in range(3)]
    for process in climbers:
        process.start()
    for process in climbers:
        process.join()
    assert [process.exitcode for process in climbers] == [0, 0, 0]
    moves = [move for move in read_ledger(home.releases / model).moves if move.alias == "champion"]
    assert [(move.before, move.to) for move in moves] == [(to - 1 or None, to) for to in range(1, 10)]
    assert len({move.why for move in moves}) == 3
    assert agreed(home, model) == {"champion": 9, "previous": 8}


def test_a_move_that_was_killed_anywhere_is_completed_by_the_next(
    home: Home, model: str, processes: ForkServerContext
) -> None:
    move_alias(home, a_move(model, 1), expected=None)
    for to, place in enumerate(("ledger", "registry", "file", "head"), 2):
        process = processes.Process(target=die_after, args=(home.root, model, place, to))
        process.start()
        process.join()
        assert process.exitcode == -9
        assert champion(home, model) == to, "the ledger was written first"
        folder = home.releases / model
        assert problems(read_ledger(folder), read_head(folder) | registry_head(home, model)) == [], (
            "no tampering"
        )
        settle(home, model)
        assert agreed(home, model) == {"champion": to, "previous": to - 1}


@pytest.mark.parametrize("refused", ["UPDATE", "INSERT"], ids=["champion", "previous"])
def test_a_move_that_the_registry_cannot_write_is_taken_back(home: Home, model: str, refused: str) -> None:
    """The second kind fails when the champion was moved already and `previous` is to follow."""
    move_alias(home, a_move(model, 1), expected=None)
    with closing(sqlite3.connect(home.database)) as connection, connection:
        fault = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        connection.execute(f"CREATE TRIGGER full BEFORE {refused} ON registered_model_aliases {fault}")
    with pytest.raises(
        StoreError, match=r"the registry refused to move an alias of .*: .*database or disk is full"
    ):
        move_alias(home, a_move(model, 2), expected=1)
    with closing(sqlite3.connect(home.database)) as connection, connection:
        connection.execute("DROP TRIGGER full")
    assert agreed(home, model) == {"champion": 1}


def test_what_serves_is_the_ledgers_and_an_alias_moved_in_mlflow_waits_for_a_person(
    home: Home, model: str
) -> None:
    move_alias(home, a_move(model, 1), expected=None)
    client, _ = open_store(home)
    client.set_registered_model_alias(model, "champion", "5")
    (home.releases / model / "champion.alias").write_text("7\n")
    settle(home, model)
    assert (home.releases / model / "champion.alias").read_text() == "1\n"
    assert client.get_registered_model(model).aliases == {"champion": 5}
    restore_alias(home, model, "champion")
    assert agreed(home, model) == {"champion": 1}


def test_a_ledger_that_was_cut_stops_every_move_until_it_is_put_back(home: Home, model: str) -> None:
    for to in (1, 2, 3):
        move_alias(home, a_move(model, to), expected=to - 1 or None)
    folder = home.releases / model
    copy = shutil.copy(folder / LEDGER_FILE, folder.parent)
    (folder / LEDGER_FILE).write_bytes(b"".join(Path(copy).read_bytes().splitlines(keepends=True)[:3]))
    (folder / HEAD_FILE).unlink()
    with pytest.raises(StoreError, match="the end was cut off after line 3: the registry knows 5 lines"):
        move_alias(home, a_move(model, 4), expected=2)
    shutil.copy(copy, folder / LEDGER_FILE)
    move_alias(home, a_move(model, 4), expected=3)
    assert agreed(home, model) == {"champion": 4, "previous": 3}
