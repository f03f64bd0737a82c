"""A blank database made of a dump is what the library's own migrations make.

After another version was locked: `python -m tests.laws.test_databases` writes the dumps anew.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import flows.server
from modelyard.machine.databases import make_blank
from modelyard.tracking import store

DUMPS = {"mlflow": store.DUMPS, "prefect": flows.server.DUMPS}
PARTS = re.compile(r"\s*[,\n]\s*")
MIGRATE = {
    "mlflow": (
        "import sqlalchemy, sys; from mlflow.store.db.utils import _initialize_tables as migrate;"
        "migrate(sqlalchemy.create_engine('sqlite:///' + sys.argv[1]))"
    ),
    "prefect": (
        "import os, sys; os.environ['PREFECT_API_DATABASE_CONNECTION_URL'] = "
        "'sqlite+aiosqlite:///' + sys.argv[1];"
        "from prefect.server.database import provide_database_interface as given; import asyncio;"
        "asyncio.run(given().create_db())"
    ),
}
"""Package -> the program that makes its database, in a process that ends."""


def migrated(package: str, folder: Path) -> str:
    """The dump of a database that the migrations made."""
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    quiet["PREFECT_HOME"] = str(folder)
    database = folder / f"{package}.db"
    command = [sys.executable, "-c", MIGRATE[package], str(database)]
    subprocess.run(command, check=True, env=os.environ | quiet, capture_output=True)
    return dumped(database)


def dumped(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump()) + "\n"


@pytest.mark.parametrize("package", DUMPS)
def test_a_dump_is_what_the_migrations_make(package: str, tmp_path: Path) -> None:
    """Their order of constraints differs from process to process."""
    kept = (DUMPS[package] / f"{package}-{version(package)}.sql").read_text()
    assert sorted(PARTS.split(kept)) == sorted(PARTS.split(migrated(package, tmp_path)))


@pytest.mark.parametrize("package", DUMPS)
def test_a_blank_database_is_its_dump_and_one_that_exists_stays(package: str, tmp_path: Path) -> None:
    database = tmp_path / "blank.db"
    assert make_blank(database, DUMPS[package], package)
    assert dumped(database) == (DUMPS[package] / f"{package}-{version(package)}.sql").read_text()
    database.write_bytes(b"another's")
    assert not make_blank(database, DUMPS[package], package)
    assert database.read_bytes() == b"another's" and list(tmp_path.iterdir()) == [database]


def test_a_disk_without_hard_links_migrates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as vfat and some mounts of containers

    monkeypatch.setattr(os, "link", refuse)
    assert not make_blank(tmp_path / "blank.db", DUMPS["mlflow"], "mlflow")
    assert not list(tmp_path.iterdir())


def test_another_version_migrates(tmp_path: Path) -> None:
    assert not make_blank(tmp_path / "blank.db", tmp_path, "mlflow")
    assert not (tmp_path / "blank.db").exists()


if __name__ == "__main__":
    for name, place in DUMPS.items():
        place.mkdir(exist_ok=True)
        for former in place.glob(f"{name}-*.sql"):
            former.unlink()
        with TemporaryDirectory() as scratch:
            (place / f"{name}-{version(name)}.sql").write_text(migrated(name, Path(scratch)))
