"""Blank databases are made of dumps of what the migrations of the locked versions make.

After another version was locked: `python -m tests.laws.test_databases` writes the dumps anew, and with
`check` compares them with what the migrations make (12 s).
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import distribution, version
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import flows.server
from modelyard.machine.databases import make_blank
from modelyard.tracking import store

DUMPS = {"mlflow": store.DUMPS, "prefect": flows.server.DUMPS}
MIGRATIONS = {
    "mlflow": "mlflow/store/db_migrations/versions",
    "prefect": "prefect/server/database/_migrations/versions/sqlite",
}
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
def test_there_is_a_dump_of_the_last_revision_of_the_locked_version(package: str) -> None:
    kept = (DUMPS[package] / f"{package}-{version(package)}.sql").read_text()
    revisions = re.findall(r"INSERT INTO \"?alembic_version\"? VALUES\('(\w+)'\)", kept)
    folder = Path(str(distribution(package).locate_file(MIGRATIONS[package])))
    scripts = [path.read_text() for path in folder.glob("*.py")]
    known, before = (
        {found for text in scripts for found in re.findall(rf'^{name}\b.*= ["\'](\w+)["\']', text, re.M)}
        for name in ("revision", "down_revision")
    )
    assert set(revisions) == known - before, "write the dumps anew"


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


def differences(package: str, folder: Path) -> list[str]:
    """Between the dump and the migrations, whose order of constraints differs from process to process."""
    kept, made = (
        sorted(re.split(r"\s*[,\n]\s*", text))
        for text in (
            (DUMPS[package] / f"{package}-{version(package)}.sql").read_text(),
            migrated(package, folder),
        )
    )
    return sorted({*kept} ^ {*made})


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        with TemporaryDirectory() as scratch:
            sys.exit("\n".join(line for name in DUMPS for line in differences(name, Path(scratch))) or 0)
    for name, place in DUMPS.items():
        place.mkdir(exist_ok=True)
        for former in place.glob(f"{name}-*.sql"):
            former.unlink()
        with TemporaryDirectory() as scratch:
            (place / f"{name}-{version(name)}.sql").write_text(migrated(name, Path(scratch)))
