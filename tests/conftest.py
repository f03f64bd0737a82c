"""A store and a cache of its own for each test, and scikit-learn's digits for all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes of the tests share the cores
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as trainings have it: long spins starve each other
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # small batches: a second thread of torch costs more than it does

from modelyard.cli import app as cli
from modelyard.data.datasets import Dataset
from modelyard.home import Home
from modelyard.progress import SilentProgress, current_progress
from modelyard.sources.sources import load_dataset
from tests.blank import Templates
from tests.trained import Trained


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no process is left with it at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/flows/", "tests/test_notebook")))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty run store and cache below it."""
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "runs"))
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MODELYARD_DATA", raising=False)
    return tmp_path


class Heard(SilentProgress):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What a person is told during the test."""
    progress = Heard()
    token = current_progress.set(progress)
    yield progress.said
    current_progress.reset(token)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes of the tests."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def shared_cache(shared_folder: Path) -> Path:
    """A cache for whole runs that are not about the cache: an architecture is translated once in all
    processes of the tests.
    """
    return shared_folder / "shared-cache"


@pytest.fixture(scope="session")
def templates() -> Templates:
    """What a store is copied from where its making is not the point."""
    return Templates()


@pytest.fixture(scope="session")
def trained(shared_folder: Path, shared_cache: Path) -> Trained:
    """Steps that are done, for stores whose tests are about what comes after a training."""
    return Trained(shared_folder / "trained", shared_cache)


@pytest.fixture
def warm_store(
    store: Path, shared_cache: Path, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """`store` with migrated databases and the shared cache."""
    monkeypatch.setenv("MODELYARD_CACHE", str(shared_cache))
    templates.store(store / "runs", prefect=True)
    return store


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELYARD_CACHE", str(tmp_path_factory.mktemp("cache")))
        return load_dataset("digits")


@pytest.fixture
def models(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`modelyard models ...` on the test's `home`: exit code, stdout, stderr."""
    monkeypatch.setenv("MODELYARD_HOME", str(home.root))

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["modelyard", "models", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return command
