"""An older database is upgraded with its content, or left as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from modelyard.errors import StoreError
from modelyard.home import Home
from modelyard.tracking.store import EXPERIMENT, open_store, schema_is_current
from modelyard.tracking.upgrade import upgrade

OLDER = "acf3f17fdcc7"
"""A schema of MLflow 2, made by MLflow's own migrations."""


@pytest.fixture
def older(tmp_path: Path) -> Home:
    """A store as an older MLflow left it, with our experiment and a run in it."""
    home = Home(tmp_path)
    engine = sqlalchemy.create_engine(f"sqlite:///{home.database}")
    InitialBase.metadata.create_all(engine)
    config = _get_alembic_config(str(engine.url))  # type: ignore[no-untyped-call]
    with engine.begin() as migrating:
        config.attributes["connection"] = migrating
        command.upgrade(config, OLDER)
    engine.dispose()
    with closing(sqlite3.connect(home.database)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (1, ?, ?, 'active')",
            [EXPERIMENT, str(home.artifacts)],
        )
        connection.execute(
            "INSERT INTO runs (run_uuid, name, experiment_id, status, lifecycle_stage, "
            "source_type, user_id, start_time)"
            " VALUES ('a', 'kept', 1, 'FINISHED', 'active', 'LOCAL', 'somebody', 1)"
        )
    return home


def _content(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_an_older_database_is_upgraded_with_its_runs(older: Home) -> None:
    before = _content(older.database)
    with pytest.raises(StoreError, match="older schema; run: modelyard store upgrade"):
        open_store(older)
    assert f"schema {OLDER} -> " in upgrade(older)
    assert schema_is_current(older)
    client, experiment = open_store(older)
    assert [run.info.run_name for run in client.search_runs([experiment])] == ["kept"]
    assert _content(older.root / f"mlflow.db.{OLDER}.bak") == before
    assert "nothing to do" in upgrade(older)


@pytest.mark.fault(
    "the upgrade of MLflow's database fails half way", how="a table of the new schema is there already"
)
def test_a_failed_upgrade_puts_the_copy_back(older: Home) -> None:
    with closing(sqlite3.connect(older.database)) as connection, connection:
        connection.execute("CREATE TABLE logged_models (x)")
    before = _content(older.database)
    with pytest.raises(
        StoreError, match=rf"upgrade from schema {OLDER} failed .*already exists.*the database is as it was"
    ):
        upgrade(older)
    assert _content(older.database) == before


def test_a_store_without_a_database_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store at .*the first modelyard run makes it"):
        upgrade(Home(tmp_path))
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="file is not a database; put a copy back"):
        upgrade(Home(tmp_path))
