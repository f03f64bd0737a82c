"""A store that cannot be used says why in one line and is left as it was."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from modelyard.doctor import examine
from modelyard.errors import StoreError, describe_fault
from modelyard.home import Home
from modelyard.tracking.store import open_store, schema_is_current


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("made"))
    open_store(home)
    return home


@pytest.fixture
def home(made: Home, tmp_path: Path) -> Home:
    """A copy in a new place: within a process MLflow checks each database file once."""
    return Home(Path(shutil.copytree(made.root, tmp_path / "copy")))


def test_a_moved_store_names_both_places(made: Home, home: Home) -> None:
    with pytest.raises(StoreError, match=rf"made at {made.artifacts}, now at {home.artifacts}; move it back"):
        open_store(home)
    assert f"moved: made for {made.artifacts}" in examine(home)["database"]


def test_an_older_schema_tells_the_upgrade(home: Home) -> None:
    with sqlite3.connect(home.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    connection.close()
    before = home.database.read_bytes()
    with pytest.raises(StoreError, match="older schema; run: modelyard store upgrade"):
        open_store(home)
    assert not schema_is_current(home)
    assert home.database.read_bytes() == before


@pytest.mark.fault("MLflow's database is damaged", how="its bytes overwritten")
def test_a_damaged_database_is_said_to_be_so(home: Home) -> None:
    home.database.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match=r"mlflow\.db cannot be opened: .*file is not a database.*see modelyard doctor"):
        open_store(home)
    assert "cannot be read" in examine(home)["database"]


@pytest.mark.fault("MLflow's database is locked", how="another connection holds it")
def test_a_locked_database_is_named(home: Home) -> None:
    holder = sqlite3.connect(home.database)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert "database is locked; a program that holds it has to end" in examine(home)["database"]
        with pytest.raises(sqlite3.OperationalError) as caught, sqlite3.connect(home.database, timeout=0.1) as other:
            other.execute("CREATE TABLE t (x)")
        assert describe_fault(caught.value) == (
            "the run store is locked by another program; end it (modelyard doctor) and run the same command again"
        )
    finally:
        holder.close()
