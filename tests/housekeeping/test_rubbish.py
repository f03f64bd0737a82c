"""Housekeeping removes what is old and nobody needs, and nothing else, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelyard.data.options import FolderOptions
from modelyard.errors import ConfigError, StoreError
from modelyard.home import Home
from modelyard.housekeeping.rubbish import Policy, find_rubbish, parse_age, remove_rubbish
from modelyard.machine.leases import EVERYTHING, in_use
from modelyard.registry import versions as registry
from modelyard.registry.aliases import Move, move_alias
from modelyard.seals import seal
from modelyard.sources.texts.named import docstrings_variant
from modelyard.tracking import runs
from tests.bundles import HEIGHT, WIDTH
from tests.registry.versions import a_version
from tests.serving.conftest import running

NOW = Policy(seconds=0, moves=0)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its own: what is cached of data goes, too."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MODELYARD_CACHE", str(folder))
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A store of steps that nothing points to."""
    home = Home(tmp_path)
    for name in ("data-1", "train-1", "evaluate-1", "export-1"):
        _a_step(home, name)
    for folder in (home.checkpoints, home.logs, home.profiles):
        folder.mkdir()
    (home.checkpoints / "train-1.safetensors").write_bytes(b"c" * 100)
    (home.profiles / "1.json").write_text("{}")
    (home.logs / "alerts.jsonl").write_text("{}\n")
    (home.logs / "run-20260101-000000-999999999.log").write_text("ended")
    return home


def _a_step(home: Home, name: str) -> Path:
    folder = home.steps / name
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(b"x" * 1000)
    seal(folder)
    return folder


def _names(home: Home, policy: Policy = NOW) -> set[str]:
    return {item.path.name for item in find_rubbish(home, policy)}


def test_what_nothing_needs_goes_and_records_stay(home: Home) -> None:
    found = _names(home)
    assert found == {
        "data-1", "train-1", "evaluate-1", "export-1", "train-1.safetensors",
        "run-20260101-000000-999999999.log",
    }  # fmt: skip
    assert {item.path.name for item in remove_rubbish(home, NOW)} == found
    assert not any(home.steps.iterdir())
    assert (home.logs / "alerts.jsonl").exists() and (home.profiles / "1.json").exists()
    assert remove_rubbish(home, NOW) == []


def test_what_is_young_stays_but_for_checkpoints_of_finished_trainings(home: Home) -> None:
    assert _names(home, Policy()) == {"train-1.safetensors"}
    (home.checkpoints / "train-2.safetensors").write_bytes(b"c")
    assert "train-2.safetensors" not in _names(home, Policy())


def test_of_cached_data_what_no_name_stands_for_now_goes_when_it_is_old(home: Home, cache: Path) -> None:
    kept = {"digits", "trec", f"docstrings-{docstrings_variant(FolderOptions())}"}
    gone = {"trec-64", "docstrings-0123abcd", f"docstrings-{docstrings_variant(FolderOptions(longest=64))}"}
    for name in kept | gone:
        (cache / "datasets" / name).mkdir(parents=True)
    assert not (kept | gone) & _names(home, Policy())
    assert (kept | gone) & _names(home) == gone
    remove_rubbish(home, NOW)
    assert {path.name for path in (cache / "datasets").iterdir()} == kept
    assert not [*(cache / "trash").iterdir()]


def test_a_lease_keeps_its_steps_and_one_without_names_all(home: Home) -> None:
    with in_use(home) as lease:
        assert _names(home) == {"run-20260101-000000-999999999.log"}
        lease.narrow(["train-1", "data-1"])
        assert {"evaluate-1", "export-1"} <= _names(home)
        assert not {"train-1", "data-1", "train-1.safetensors"} & _names(home)
    assert {"train-1", "data-1"} <= _names(home)


def test_what_aliases_moves_and_unfinished_runs_name_stays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    made = [
        a_version(
            home, f"export-{number}", fooled=False, validation=0.5 + number / 10, digest=str(number) * 64
        )
        for number in range(4)
    ]
    for version in made:  # all of them still Running, which keeps their steps
        assert f"export-{version.number - 1}" in runs.unfinished_steps(home)
        runs.fail_run(home, version.run_id, "ended")
    for number in range(4):
        _a_step(home, f"data-{str(number) * 16}")
    for version, before in ((made[1], None), (made[2], 2)):
        move_alias(home, Move(version, "champion", "by a test"), expected=before)
    # 3 leads and 2 led before; 1 and 4 are of nobody
    gone = {"1", "4", "export-0", "export-3", "data-" + "0" * 16, "data-" + "3" * 16}
    assert _names(home) == gone
    remove_rubbish(home, NOW)
    assert sorted(path.name for path in (home.releases / "lit").iterdir() if path.is_dir()) == ["2", "3"]
    assert {version.number for version in registry.versions(home, "lit")} == {1, 2, 3, 4}
    move_alias(home, Move(made[1], "champion", "back"), expected=3)
    move_alias(home, Move(made[2], "champion", "again"), expected=2)
    home.database.unlink()
    with pytest.raises(StoreError, match=r"mlflow\.db is missing, so what the releases need cannot be told"):
        find_rubbish(home, NOW)


@pytest.mark.fault("a run is killed while it works on steps", how="kill -9 of a process that holds a lease")
def test_the_lease_of_a_killed_process_ends_with_it(home: Home) -> None:
    code = (
        "import sys, time, pathlib; from modelyard.home import Home; from "
        "modelyard.machine.leases import in_use\n"
        "with in_use(Home(pathlib.Path(sys.argv[1])), ['train-1']):\n    print('held', "
        "flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert "train-1" not in _names(home)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert "train-1" in _names(home)
    assert not any((home.locks / "leases").iterdir())


@pytest.mark.fault("gc is killed in the middle", how="kill -9 of gc while it deletes what it moved aside")
def test_what_a_killed_gc_left_the_next_one_clears(home: Home) -> None:
    code = (
        "import os, pathlib, shutil, signal, sys; from modelyard.home import Home\n"
        "from modelyard.housekeeping import rubbish\n"
        "def die(path, **_): os.remove(path / 'content'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "shutil.rmtree = die\n"
        "rubbish.remove_rubbish(Home(pathlib.Path(sys.argv[1])), rubbish.Policy(0, 0))"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(home.root)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not any(home.steps.iterdir()) and any((home.root / "trash").iterdir())
    assert {item.kind for item in remove_rubbish(home, NOW)} == {"trash"}
    assert not any((home.root / "trash").iterdir())


def test_scratch_of_killed_writers_goes_when_it_is_old(home: Home) -> None:
    for name in (".train-2.abc", ".train-3.def"):
        _a_step(home, name)
    before = time.time() - 2 * 86_400
    for path in (*(home.steps / ".train-2.abc").iterdir(), home.steps / ".train-2.abc"):
        os.utime(path, (before, before))
    assert ".train-2.abc" in _names(home, Policy()) and ".train-3.def" not in _names(home, NOW)
    with in_use(home, ["train-2"]):
        assert ".train-2.abc" not in _names(home)


def test_ages_are_read(home: Home) -> None:
    assert [parse_age(text) for text in ("30d", "12h", "0s", "1.5w")] == [2_592_000, 43_200, 0, 907_200]
    with pytest.raises(ConfigError, match="age 'soon': expected a number and a unit"):
        parse_age("soon")
    assert EVERYTHING not in _names(home)


def test_a_release_that_a_server_has_loaded_by_number_stays(tmp_path: Path) -> None:
    home = Home(tmp_path / "store")
    for number in range(2):
        version = a_version(home, f"export-{number}", fooled=False, validation=0.5, digest=str(number) * 64)
        runs.fail_run(home, version.run_id, "ended")
    move_alias(home, Move(version, "champion", "by a test"), expected=None)
    with running(home.releases, tmp_path / "server.log", "--workers", "1") as server:
        row = {
            "name": "images",
            "shape": [1, HEIGHT, WIDTH, 1],
            "datatype": "UINT8",
            "data": [0] * HEIGHT * WIDTH,
        }

        def ask() -> int:
            return server.client.post("/v2/models/lit/versions/1/infer", json={"inputs": [row]}).status_code

        assert "1" in _names(home)  # nobody asked for it yet
        assert ask() == 200
        remove_rubbish(home, NOW)
        assert ask() == 200 and (home.releases / "lit" / "1").is_dir()
    assert "1" in {item.path.name for item in remove_rubbish(home, NOW)}
