"""A store that cannot be used says why in one line and is left as it was."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from modelyard.bundle import MODEL_FILE
from modelyard.console.doctor import examine
from modelyard.errors import StoreError, describe_fault
from modelyard.files import sha256_of_file
from modelyard.home import Home
from modelyard.machine.sharing import share
from modelyard.registry.aliases import move_alias
from modelyard.registry.standing import discrepancies
from modelyard.registry.vouching import vouched_tags
from modelyard.tracking import store
from modelyard.tracking.relocation import relocate
from modelyard.tracking.store import open_store, read_only, schema_is_current
from tests.readers import as_user
from tests.registry.movers import a_move
from tests.serving.bundles import Linear, release

ROOT = Path(__file__).parents[2]
READER = """
import sys
from modelyard.cli import app as cli
for words in sys.stdin:
    sys.argv = ["modelyard", *words.split()]
    try:
        cli.main()
    except SystemExit as stopped:
        print("exit code", stopped.code or 0, flush=True)
"""
"""Commands by standard input, one a line, in one process: most of their time is imports."""


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


def test_the_experiment_is_known_by_its_place_and_a_reader_needs_none(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.artifacts.mkdir(exist_ok=True)
    relocate(home)
    client, ours = open_store(home)
    client.rename_experiment(ours, "mine")
    client.create_experiment("modelyard", "elsewhere")
    assert open_store(home)[1] == ours
    with closing(sqlite3.connect(home.database)) as connection, connection:
        connection.execute("DELETE FROM experiments WHERE name IN ('mine', 'modelyard')")
    monkeypatch.setattr(store, "is_for_reading", lambda _: True)
    assert open_store(home)[1] == ""
    assert [(each.kind, each.mlflow) for each in discrepancies(home)] == [("experiment", "deleted")]


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
    with pytest.raises(
        StoreError, match=r"mlflow\.db cannot be opened: .*file is not a database.*see modelyard doctor"
    ):
        open_store(home)
    assert "cannot be read" in examine(home)["database"]


@pytest.mark.fault("MLflow's database is locked", how="another connection holds it")
def test_a_locked_database_is_named(home: Home) -> None:
    holder = sqlite3.connect(home.database)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert "database is locked; a program that holds it has to end" in examine(home)["database"]
        with (
            pytest.raises(sqlite3.OperationalError) as caught,
            closing(sqlite3.connect(home.database, timeout=0.1)) as other,
        ):
            other.execute("CREATE TABLE t (x)")
        assert describe_fault(caught.value) == (
            "the run store is locked by another program; end it (modelyard doctor) and run the "
            "same command again"
        )
    finally:
        holder.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has groups to give away")
def test_a_reader_of_a_shared_store_needs_no_lock_and_writes_nothing(made: Home, tmp_path: Path) -> None:
    """L14: a user of the group, without rights, sees what is registered and verifies it; what writes is
    refused in a line.
    """
    client, _ = open_store(made)
    client.create_registered_model("fruit")
    folder = release(made.releases, 1, Linear.seeded(1))
    digest = sha256_of_file(folder / MODEL_FILE)
    client.create_model_version(
        "fruit", "nowhere", tags={"validation_accuracy": "0.5"} | vouched_tags(folder, digest)
    )
    move_alias(made, a_move("fruit", 1, digest), expected=None)
    home = Home(Path(shutil.copytree(made.root, tmp_path / "nobody has it open")))
    share(home, "4242")
    (tmp_path / "root").mkdir()
    command = as_user(
        4343,
        4242,
        [sys.executable, "-c", READER],
        tmp_path / "root",
        seen={home.root: str(made.root), ROOT: str(ROOT), Path(sys.prefix): sys.prefix},
        environment={
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "MODELYARD_HOME": str(made.root),
            "HOME": "/nowhere",
        },
    )
    log = home.database.with_name("mlflow.db-wal")
    with closing(sqlite3.connect(home.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not log.exists()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as reader:
        _look(reader)
        with closing(sqlite3.connect(home.database)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO experiments (name) VALUES ('half')")
            assert log.exists()
            _look(reader)
        writing = ("models rollback fruit", "gc --dry-run", "store upgrade", "store backup /tmp/x.tar")
        said = reader.communicate("\n".join(writing) + "\n")[0].splitlines()
    assert len(said) == 2 * len(writing)
    told = f"the store {made.root} belongs to"
    assert [line for line in said[::2] if not (told in line and "you may only read" in line)] == []
    assert set(said[1::2]) == {"exit code 2"}


def _look(reader: subprocess.Popen[str]) -> None:
    assert reader.stdin is not None and reader.stdout is not None
    print("models list --json\nmodels history fruit --verify", file=reader.stdin, flush=True)
    rows, first, told, second = (reader.stdout.readline().strip() for _ in range(4))
    assert json.loads(rows)[0]["aliases"] == "champion"
    assert told.startswith("fruit: whole, 2 entries, end known to ledger.head and the registry, releases: 1")
    assert first == second == "exit code 0"


def test_the_readers_name_of_a_database_keeps_odd_characters(tmp_path: Path) -> None:
    home = Home(tmp_path / "a b%41?c#d")
    home.root.mkdir()
    sqlite3.connect(home.database).close()
    with closing(sqlite3.connect(read_only(home), uri=True)) as connection:
        assert connection.execute("PRAGMA query_only").fetchone() == (0,)
    assert [path.name for path in tmp_path.iterdir()] == [home.root.name]
