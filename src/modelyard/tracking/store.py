"""Opening the run store: one helper, one lock, so that two first runs never race in the migrations."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import mlflow
from filelock import FileLock
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from modelyard.errors import ModelyardError, StoreError
from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.machine.databases import make_blank
from modelyard.progress import current_progress
from modelyard.tracking.mlflow_internals import latest_revision

EXPERIMENT = "modelyard"
DUMPS = Path(__file__).parent / "dumps"
"""Blank databases of MLflow."""
UPGRADE = "run: modelyard store upgrade (it copies the file first)"
RELOCATE = "move it back or run: modelyard doctor --relocate"


@dataclass(frozen=True, slots=True)
class Experiment:
    """Our experiment in MLflow's database."""

    id: str
    artifacts: str
    """The folder of its artifacts as the database knows it."""


def open_store(home: Home) -> tuple[MlflowClient, str]:
    """The client and the experiment's id, empty for a reader where there is none; creates the store on first
    use.

    Raises: StoreError when the database is locked, outdated or damaged, or the store was moved.
    """
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if is_for_reading(home):
        return _open(home, f"sqlite+pysqlite:///{read_only(home)}&uri=true", is_new=False)
    with FileLock(make_folder(home.locks) / "store.lock"):
        is_new = not home.database.exists()
        make_blank(home.database, DUMPS, "mlflow")
        opened = _open(home, f"sqlite:///{home.database}", is_new=is_new)
        if is_new:
            with closing(sqlite3.connect(home.database)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
    return opened


def open_for_writing(home: Home, run_id: str = "") -> tuple[MlflowClient, str]:
    """As `open_store`; an experiment or run that somebody deleted in MLflow is restored, with a line. Raises:
    StoreError.
    """
    client, experiment = open_store(home)
    say = current_progress.get().say
    if client.get_experiment(experiment).lifecycle_stage == LifecycleStage.DELETED:
        client.restore_experiment(experiment)
        say("NOTE: the experiment modelyard was deleted in MLflow; it is restored, with its runs")
    try:
        if run_id and client.get_run(run_id).info.lifecycle_stage == LifecycleStage.DELETED:
            client.restore_run(run_id)
            say(f"NOTE: run {run_id} was deleted in MLflow while it was at work; it is restored")
    except MlflowException as error:
        raise StoreError(f"run {run_id} is in MLflow no more; the same command makes it anew") from error
    return client, experiment


def _open(home: Home, uri: str, *, is_new: bool) -> tuple[MlflowClient, str]:
    mlflow.set_tracking_uri(uri)
    try:
        found, client = None if is_new else _stored(home), MlflowClient(uri, uri)
        if found is None and is_for_reading(home):
            return client, ""
        if found is None:
            return client, client.create_experiment(EXPERIMENT, str(home.artifacts))
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        raise StoreError(f"{home.database} cannot be opened: {_cause(error)}") from error
    if found.artifacts != str(home.artifacts):
        raise StoreError(
            f"the store was moved: it was made at {found.artifacts}, now at {home.artifacts}; {RELOCATE}"
        )
    return client, found.id


def _stored(home: Home) -> Experiment | None:
    """Our experiment; None where there is none yet, as after a first run was killed. Raises:
    StoreError.
    """
    with closing(sqlite3.connect(read_only(home), uri=True)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone() is None:
            return None
        if connection.execute("SELECT 1 FROM experiments WHERE name != 'Default'").fetchone() is None:
            return None
        if not _is_current(connection):
            raise StoreError(f"{home.database} has an older schema; {UPGRADE}")
        return stored_experiment(connection, home)


def stored_experiment(connection: sqlite3.Connection, home: Home) -> Experiment | None:
    """Our experiment, whatever somebody named it or deleted: told by its place; of a moved
    store by its name.
    """
    found = connection.execute(
        "SELECT experiment_id, artifact_location FROM experiments WHERE name = ? OR artifact_location LIKE ?"
        " ORDER BY artifact_location = ? DESC, name = ? DESC",
        [EXPERIMENT, f"%/{home.artifacts.name}", str(home.artifacts), EXPERIMENT],
    ).fetchone()
    return None if found is None else Experiment(str(found[0]), str(found[1]))


def is_for_reading(home: Home) -> bool:
    """Whether this user may only read the store (`modelyard store share`): no lock is taken then."""
    return home.database.exists() and not os.access(home.root, os.W_OK)


def read_only(home: Home) -> str:
    """SQLite's name of the database, to read it. Where nobody writes there is no log, and a reader can make
    none: immutable.
    """
    rests = is_for_reading(home) and not home.database.with_name(f"{home.database.name}-wal").exists()
    return f"file:{quote(str(home.database))}?mode=ro{'&immutable=1' if rests else ''}"


def schema_is_current(home: Home) -> bool:
    """Whether the database was made or upgraded by this version of MLflow.

    MLflow itself refuses an outdated one only where no table is missing; else it migrates in place, without a
    copy.
    """
    with closing(sqlite3.connect(read_only(home), uri=True)) as connection:
        return _is_current(connection)


def _is_current(connection: sqlite3.Connection) -> bool:
    (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return bool(found == latest_revision())


def _cause(error: Exception) -> str:
    return f"{str(error).strip().splitlines()[0][:160]}; see modelyard doctor"


if __name__ == "__main__":  # `modelyard up` makes its store in a process that ends
    try:
        open_store(Home.current())
    except ModelyardError as error:
        sys.exit(str(error))
