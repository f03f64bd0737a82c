"""A moved store is repaired whole or left as it was."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow.onnx
import pytest

from modelyard.errors import StoreError
from modelyard.home import Home
from modelyard.tracking import relocation, runs
from modelyard.tracking.mlflow_internals import PLACES
from modelyard.tracking.relocation import relocate
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.registry.versions import a_version


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    """A store with a finished run, a version, and a sweep that ended later; SQL's LIKE takes its
    name for a pattern.
    """
    home = templates.store(tmp_path_factory.mktemp("made_%"))
    version = a_version(home, "one", fooled=False, validation=0.9, digest="d" * 64)
    report = home.root / "report"
    report.mkdir()
    (report / "per_class.csv").write_text("class,accuracy\n0,1.0\n")
    source = open_store(home)[0].get_model_version("lit", "1").source
    runs.finish_run(
        home, version.run_id, {"test/accuracy": 0.9}, report, str(source).removeprefix("models:/")
    )
    tags = {"modelyard.dataset": "lit", "modelyard.data_digest": "d" * 64, "sweep": "x"}
    swept = runs.start_run(home, "sweep-x", name="sweep x", params={}, tags=tags)
    open_store(home)[0].set_terminated(swept)
    return home


@pytest.fixture
def moved(made: Home, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(made.root, tmp_path / "it's moved")))


def _paths(home: Home) -> list[str]:
    with closing(sqlite3.connect(home.database)) as connection:
        return [
            str(path)
            for table, column in PLACES
            for (path,) in connection.execute(f"SELECT {column} FROM {table} ORDER BY rowid")
        ]


@pytest.mark.fault("the store is moved to another folder", how="its folder copied elsewhere")
def test_a_moved_store_is_read_again(made: Home, moved: Home, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="modelyard doctor --relocate"):
        open_store(moved)
    before = _paths(moved)
    shutil.move(made.artifacts, made.root / "away")  # so that nothing is read there
    try:
        assert "1 files of the newest run and 1 models were read" in relocate(moved)
        client, experiment = open_store(moved)
        _, run = client.search_runs([experiment])
        read = client.download_artifacts(run.info.run_id, "report/per_class.csv", str(tmp_path))
        assert Path(read).read_text().startswith("class,accuracy")
        assert mlflow.onnx.load_model("models:/lit/1").graph.node
    finally:
        shutil.move(made.root / "away", made.artifacts)
    old, new = str(made.artifacts), str(moved.artifacts)
    assert _paths(moved) == [path.replace(old, new) for path in before]
    assert "nothing to do" in relocate(moved)


def test_only_our_own_prefix_is_rewritten(made: Home, moved: Home) -> None:
    neighbour = f"{made.artifacts}-of-another/1"
    with closing(sqlite3.connect(moved.database)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (name, artifact_location) VALUES ('theirs', ?)", [neighbour]
        )
    relocate(moved)
    assert neighbour in _paths(moved)


@pytest.mark.fault(
    "relocating is interrupted between two tables", how="a trigger of the database refuses the last update"
)
def test_half_a_relocation_is_none(moved: Home) -> None:
    before = _paths(moved)
    with closing(sqlite3.connect(moved.database)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER refused BEFORE UPDATE ON model_versions BEGIN SELECT RAISE(ABORT, "
            "'power cut'); END"
        )
    with pytest.raises(sqlite3.IntegrityError, match="power cut"):
        relocate(moved)
    assert _paths(moved) == before


@pytest.mark.fault("a store is moved without all of its artifacts", how="its models' folder deleted")
def test_what_cannot_be_read_afterwards_is_put_back(moved: Home) -> None:
    before = _paths(moved)
    shutil.rmtree(moved.artifacts / "models")
    with pytest.raises(StoreError, match=r"the relocated store cannot be read .*the database is as it was"):
        relocate(moved)
    assert _paths(moved) == before


def test_nothing_to_relocate_is_said(tmp_path: Path, moved: Home) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        relocate(Home(tmp_path / "nowhere"))
    shutil.rmtree(moved.artifacts)
    with pytest.raises(StoreError, match="is missing: move the whole store"):
        relocate(moved)
    assert relocation.made_at(moved) != str(moved.artifacts)
