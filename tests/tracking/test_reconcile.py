"""Only what belongs to dead processes is marked, ended or removed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from modelyard.files import folder_written_whole, hold_folder
from modelyard.home import Home
from modelyard.machine.identity import PARENT_VARIABLE, identity
from modelyard.tracking import runs
from modelyard.tracking.reconcile import reconcile
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.elsewhere import elsewhere

TAGS = {"modelyard.dataset": "lit", "modelyard.data_digest": "0" * 64}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    home = templates.store(tmp_path_factory.mktemp("store"))
    open_store(home)
    home.steps.mkdir()
    return home


@pytest.fixture(scope="module")
def dead() -> str:
    """The identity of a process that was killed."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = identity(process.pid)
    process.kill()
    process.communicate()
    return name


def test_a_run_is_killed_when_all_that_work_on_it_are_gone_and_running_when_taken_up(
    home: Home, dead: str, tmp_path: Path
) -> None:
    client, _ = open_store(home)
    shared, lone = (runs.start_run(home, key, name=key, params={}, tags=TAGS) for key in ("shared", "lone"))
    with elsewhere(tmp_path, "namespace"):
        runs.start_run(home, "theirs", name="theirs", params={}, tags=TAGS)
    client.set_tag(shared, runs.PROCESS_TAG, f"{dead} {identity(os.getpid())}")
    client.set_tag(lone, runs.PROCESS_TAG, dead)
    assert [line.split(":")[0] for line in reconcile(home)] == ["marked lone as killed"]
    assert [client.get_run(run_id).info.status for run_id in (shared, lone)] == ["RUNNING", "KILLED"]
    assert runs.start_run(home, "lone", name="lone", params={}, tags=TAGS) == lone
    taken_up = client.get_run(lone)
    assert (taken_up.info.status, taken_up.data.tags[runs.PROCESS_TAG]) == ("RUNNING", identity(os.getpid()))
    assert reconcile(home) == []


@pytest.mark.fault(
    "a writer is killed in a step's folder and in a file",
    how="the state that it leaves; beside a living writer",
)
def test_scraps_of_the_dead_go_and_those_of_the_living_stay(home: Home, dead: str) -> None:
    left, file = (
        home.steps / ".train-0.a1b2c3d4",
        home.checkpoints / f".x.safetensors.{dead.split('/')[1]}.tmp",
    )
    left.mkdir()
    file.parent.mkdir()
    file.write_bytes(b"half")
    theirs = file.with_name(f".x.safetensors.{dead.split('/')[1]}-a1b2c3d4.tmp")
    with folder_written_whole(home.steps / "train-1") as scratch, theirs.open("wb") as stream:
        hold_folder(theirs, stream)  # as in another container, where its writer's id is another
        living = file.with_name(f".x.safetensors.{os.getpid()}.tmp")
        living.write_bytes(b"half")
        assert reconcile(home) == [], "a minute's grace"
        for path in (left, file, scratch, living, theirs):
            os.utime(path, (0, 0))
        assert reconcile(home) == [
            f"removed {left}: its writer is gone",
            f"removed {file}: its writer is gone",
        ]
        assert scratch.exists() and living.exists() and theirs.exists()
    theirs.unlink()
    assert (home.steps / "train-1").is_dir()


@pytest.mark.fault(
    "a training outlives its run", how="a process in its place, with the identity of a killed parent"
)
def test_an_orphaned_training_is_ended_and_a_living_one_is_not(home: Home, dead: str) -> None:
    command = [
        sys.executable,
        "-c",
        "import time; time.sleep(60)",
        "modelyard.steps.train",
        str(home.steps / ".train-2.a1b2c3d4"),
    ]
    mine, orphan = (
        subprocess.Popen(command, env=os.environ | {PARENT_VARIABLE: name}, start_new_session=True)
        for name in (identity(os.getpid()), dead)
    )
    try:
        assert reconcile(home) == [f"ended training {orphan.pid}: its run is gone"]
        assert orphan.wait(timeout=5) != 0
        assert psutil.pid_exists(mine.pid) and mine.poll() is None
    finally:
        mine.kill()
        mine.wait()
