"""An older database of MLflow is brought to the schema of the MLflow that is installed, with a copy first."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from filelock import FileLock
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from modelyard.errors import StoreError
from modelyard.files import check_space, make_folder
from modelyard.home import Home
from modelyard.tracking.backup import copy_database, put_back
from modelyard.tracking.mlflow_internals import latest_revision, migrate


def upgrade(home: Home) -> str:
    """Upgrade the store's database; gives what was done in one line. What fails puts the copy back.

    Raises: StoreError where there is no database, it is of a newer MLflow, or the upgrade fails.
    """
    if not home.database.exists():
        raise StoreError(f"there is no store at {home.root}; the first modelyard run makes it")
    with FileLock(make_folder(home.locks) / "store.lock"):
        found, wanted = _revision(home), latest_revision()
        if found == wanted:
            return f"{home.database} has schema {found}, the one of the installed MLflow: nothing to do"
        check_space(home.root)
        copy = copy_database(home, found)
        try:
            migrate(home.database)
            if problem := _problem(home, wanted):
                raise StoreError(problem)
        except (
            MlflowException,
            SQLAlchemyError,
            sqlite3.Error,
            OSError,
            StoreError,
            KeyboardInterrupt,
        ) as error:
            put_back(home, copy)
            reason = str(error).strip().splitlines()[:1] or ["stopped"]
            raise StoreError(
                f"the upgrade from schema {found} failed ({reason[0][:200]}); the database is as it was"
            ) from error
    return f"{home.database}: schema {found} -> {wanted}; the copy from before is {copy}"


def _revision(home: Home) -> str:
    try:
        with closing(sqlite3.connect(home.database, timeout=5)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(
            f"{home.database} cannot be read: {error}; put a copy back or move it away"
        ) from error
    if found is None:
        raise StoreError(f"{home.database} has no schema revision: MLflow did not make it")
    return str(found[0])


def _problem(home: Home, wanted: str) -> str | None:
    """What is wrong with an upgraded database."""
    with closing(sqlite3.connect(home.database, timeout=5)) as connection:
        check = connection.execute("PRAGMA quick_check").fetchone()[0]
    if check != "ok":
        return f"quick_check: {check}"
    found = _revision(home)
    return None if found == wanted else f"the schema is {found}, expected {wanted}"
