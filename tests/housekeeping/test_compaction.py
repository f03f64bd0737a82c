"""What deleted rows took is given back, and nobody who uses the database at that moment notices more than a
wait.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelyard.home import Home
from modelyard.housekeeping.rubbish import compact_database

ROWS, ROW_BYTES = 2000, 1000
Connection = sqlite3.Connection


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A database like MLflow's (WAL) that lost nine rows of ten."""
    home = Home(tmp_path)
    with closing(sqlite3.connect(home.database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE metrics (step INTEGER PRIMARY KEY, value BLOB)")
        connection.executemany(
            "INSERT INTO metrics VALUES (?, randomblob(?))", [(n, ROW_BYTES) for n in range(ROWS)]
        )
        connection.execute("DELETE FROM metrics WHERE step % 10")
        connection.commit()
    return home


@pytest.fixture
def other(home: Home) -> Iterator[Connection]:
    """The connection of another program, that commits when it says so."""
    with closing(
        sqlite3.connect(home.database, isolation_level=None, timeout=20, check_same_thread=False)
    ) as connection:
        yield connection


def kept(connection: Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM metrics").fetchone()[0])


def test_the_file_shrinks_by_what_is_told_and_keeps_every_row(home: Home) -> None:
    before = home.database.stat().st_size
    given_back = compact_database(home)
    assert given_back == before - home.database.stat().st_size > ROWS * ROW_BYTES * 0.8
    with closing(sqlite3.connect(home.database)) as connection:
        assert kept(connection) == ROWS / 10
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert compact_database(home) == 0


@pytest.mark.fault(
    "gc while another program writes to MLflow's database", how="a transaction is open in another connection"
)
def test_it_is_left_alone_while_another_program_writes(home: Home, other: Connection) -> None:
    before = home.database.stat().st_size
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO metrics VALUES (5001, 'x')")
    assert compact_database(home) == 0
    assert home.database.stat().st_size == before
    other.execute("COMMIT")
    assert kept(other) == ROWS / 10 + 1
    assert compact_database(home) > 0


def test_a_reader_keeps_what_it_began_to_read(home: Home, other: Connection) -> None:
    other.execute("BEGIN")
    assert kept(other) == ROWS / 10
    compact_database(home)
    assert kept(other) == ROWS / 10
    other.execute("COMMIT")
    assert compact_database(home) == 0
    assert other.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_a_writer_that_never_stops_loses_nothing(home: Home, other: Connection) -> None:
    """As a training that logs its epochs while gc runs again and again."""
    written, stop = 0, threading.Event()

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            other.execute("INSERT INTO metrics VALUES (?, randomblob(?))", [10_000 + written, 20 * ROW_BYTES])
            other.execute("DELETE FROM metrics WHERE step = ?", [9_999 + written])
            written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        given_back, tries, until = 0, 0, time.monotonic() + 60
        while time.monotonic() < until and (tries < 50 or not given_back or not written):
            given_back, tries = given_back + compact_database(home), tries + 1
    finally:
        stop.set()
        writer.join()
    assert written > 0 and given_back > 0
    assert kept(other) == ROWS / 10 + 1
    assert other.execute("PRAGMA quick_check").fetchone() == ("ok",)
