"""Stores that MLflow's and Prefect's migrations have been through: made once for all processes of the tests,
then copied.

A fresh database costs 1.4 s (MLflow) and 4.7 s (Prefect) of CPU; a copy costs a millisecond. And a store of
an earlier edition.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from filelock import FileLock

from modelyard.home import Home
from modelyard.tracking.relocation import relocate

FIXTURES = Path(__file__).parent / "fixtures"
"""A folder for each commit that made a store, at /srv/modelyard: two versions of `digits` (one an own module)
and two schedules. 0dba254 holds the prepared data. 2f58f3d holds the folders of the other steps, without
pictures; a forced promotion and its rollback; a user's alias; an alert that is recorded and one that waits
for a webhook.
"""
MIGRATE = {
    "mlflow.db": (
        "import sqlite3, sys; from mlflow.tracking import MlflowClient; uri = 'sqlite:///' + sys.argv[1];"
        "MlflowClient(uri, uri).search_experiments(); "
        "sqlite3.connect(sys.argv[1]).execute('PRAGMA journal_mode=WAL')"
    ),
    "prefect.db": (
        "import os, sys; os.environ['PREFECT_HOME'] = os.path.dirname(sys.argv[1]);"
        "from prefect.server.database import provide_database_interface as given; import asyncio;"
        "asyncio.run(given().create_db())"
    ),
}
"""File -> the program that makes it; in a process that ends, as the tests keep neither library's engine of
it.
"""


class Templates:
    """Migrated databases below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _database(self, name: str) -> Path:
        path = self._folder / name
        self._folder.mkdir(exist_ok=True)
        with FileLock(self._folder / f"{name}.lock"):
            if not path.exists():
                making = self._folder / "making" / name
                making.parent.mkdir(exist_ok=True)
                quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
                subprocess.run(
                    [sys.executable, "-c", MIGRATE[name], str(making)], check=True, env=os.environ | quiet
                )
                making.rename(path)
        return path

    def mlflow(self, path: Path) -> None:
        """MLflow's database without anything of ours."""
        shutil.copyfile(self._database("mlflow.db"), path)
        path.chmod(0o600)

    def store(self, root: Path, *, prefect: bool = False) -> Home:
        """An empty store at `root`, with MLflow's database and, where flows will run, Prefect's."""
        home = Home(root)
        root.mkdir(parents=True, exist_ok=True)
        self.mlflow(home.database)
        if prefect:
            home.prefect.mkdir(mode=0o700, exist_ok=True)
            shutil.copyfile(self._database("prefect.db"), home.prefect / "prefect.db")
            (home.prefect / "prefect.db").chmod(0o600)
        return home


def former_store(folder: Path, commit: str = "0dba254") -> Home:
    """The store that an earlier commit made, moved to `folder/mlruns`; its own module is `folder/own.py`."""
    with tarfile.open(FIXTURES / commit / "store.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    home = Home(folder / "mlruns")
    relocate(home)
    return home
