"""A store that was moved or renamed: the places in MLflow's database are made to say where it is now."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import mlflow.onnx
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.errors import ModelyardError, StoreError
from modelyard.files import check_space, make_folder
from modelyard.home import Home
from modelyard.tracking.backup import copy_database, put_back
from modelyard.tracking.mlflow_internals import PLACES
from modelyard.tracking.store import EXPERIMENT, open_store, stored_experiment

SUFFIX = "moved"
STORE_OF_A_SCHEDULE = "$.env.MODELYARD_HOME"
"""In Prefect's database the only place that names the store: what the runs of a deployment are told."""


def relocate(home: Home) -> str:
    """Repair a moved store; gives what was done in one line.

    The database is copied first and changed in one transaction; what fails afterwards puts the copy back.
    Raises: StoreError where there is no store, its artifacts are not here, or MLflow cannot read them
    afterwards.
    """
    if not home.database.exists():
        raise StoreError(f"there is no store at {home.root}; name the moved one by MODELYARD_HOME")
    with FileLock(make_folder(home.locks) / "store.lock"):
        before, now = made_at(home), str(home.artifacts)
        if before == now:
            return f"the store was made at {home.root} and is there: nothing to do"
        if not home.artifacts.is_dir():
            raise StoreError(f"{home.artifacts} is missing: move the whole store, not only its database")
        check_space(home.root)
        copy = copy_database(home, SUFFIX)
        changed = _rewrite(home, before, now)
    try:
        files, models = _verify(home)
        schedules = rewrite_schedules(home, Path(before).parent)
    except (MlflowException, ModelyardError, sqlite3.Error, OSError) as error:
        put_back(home, copy)
        reason = str(error).splitlines()[0][:200]
        raise StoreError(
            f"the relocated store cannot be read ({reason}); the database is as it was"
        ) from error
    return (
        f"relocated from {before} to {now}: {changed} paths, {schedules} schedules; {files} "
        "files of the newest run and"
        f" {models} models were read; the copy from before is {copy}"
    )


def made_at(home: Home) -> str:
    """The artifact folder that the database knows. Raises: StoreError when it knows none."""
    try:
        with closing(sqlite3.connect(home.database, timeout=5)) as connection:
            found = stored_experiment(connection, home)
    except sqlite3.Error as error:
        raise StoreError(f"{home.database} cannot be read: {error}; see modelyard doctor") from error
    if found is None:
        raise StoreError(
            f"{home.database} holds no experiment {EXPERIMENT!r}: it is not a store of Modelyard"
        )
    return found.artifacts


def _rewrite(home: Home, before: str, now: str) -> int:
    """Our own prefix only, whole path parts only; all columns or none. A path is compared as text, never as a
    pattern.
    """
    changed = 0
    with closing(sqlite3.connect(home.database, timeout=5)) as connection, connection:
        connection.execute("BEGIN EXCLUSIVE")
        for table, column in PLACES:
            changed += connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR "
                f"substr({column}, 1, ?) = ?",
                [now, len(before) + 1, before, len(before) + 1, f"{before}/"],
            ).rowcount
    return changed


def rewrite_schedules(home: Home, before: Path) -> int:
    """Tell the runs of schedules where the store is, or they would go on in the old place; gives how many
    schedules.

    Raises: sqlite3.Error.
    """
    database = home.prefect / "prefect.db"
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database, timeout=5)) as connection, connection:
        return connection.execute(
            "UPDATE deployment SET infra_overrides = json_set(infra_overrides, ?, ?)"
            " WHERE json_extract(infra_overrides, ?) = ?",
            [STORE_OF_A_SCHEDULE, str(home.root), STORE_OF_A_SCHEDULE, str(before)],
        ).rowcount


def _verify(home: Home) -> tuple[int, int]:
    """By MLflow's client: the newest run's files are listed and downloaded, each model's newest version is
    loaded.
    """
    client, experiment = open_store(home)
    reported = "attributes.status = 'FINISHED' AND tags.sweep IS NULL"  # those of a sweep have no report
    runs = client.search_runs([experiment], reported, max_results=1)
    files = sum(_read_files(client, run.info.run_id) for run in runs)
    newest = {
        version.name: version.version
        for version in client.search_model_versions(order_by=["version_number ASC"])
    }
    for name, number in newest.items():
        mlflow.onnx.load_model(f"models:/{name}/{number}")
    return files, len(newest)


def _read_files(client: MlflowClient, run_id: str) -> int:
    files = [file.path for file in client.list_artifacts(run_id, "report")]
    if not files:
        raise StoreError(f"run {run_id} lists no report")
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            client.download_artifacts(run_id, file, folder)
    return len(files)
