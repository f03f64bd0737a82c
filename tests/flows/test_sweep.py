"""The real command: a sweep on two workers, killed and gone on with; a search that gives up what falls
behind.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.sweep import missing_in_mlflow, missing_in_prefect
from modelyard.home import Home
from modelyard.steps.preparation import prepare
from modelyard.steps.requests import BuildRequest
from modelyard.sweeps.request import SweepRequest
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.flows.command import environment_below, started_until

SMALL = ["--set", "training.min_steps=0", "--set", "training.max_train_images=300"]
SWEEP = [sys.executable, "-m", "modelyard", "sweep", "-d", "digits", *SMALL]


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, templates: Templates
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("store")
    templates.store(folder / "runs", prefect=True)
    return environment_below(folder, shared_cache)


def runs_of(environment: dict[str, str], sweep: str) -> list[Any]:
    client, experiment = open_store(Home(Path(environment["MODELYARD_HOME"])))
    found = client.search_runs([experiment], f"tags.sweep = '{sweep}'")
    return [run for run in found if run.data.tags["label"] != "sweep"]


def builds_of(home: Home, sweep: str) -> list[BuildRequest]:
    request = SweepRequest.model_validate_json((home.sweeps / sweep / "request.json").read_bytes())
    prepared = prepare(request.dataset, home)
    return [
        BuildRequest(recipe=recipe, label=label, seed=seed, **prepared)
        for label, recipe in request.recipes().items()
        for seed in request.seeds
    ]


@pytest.mark.fault("a sweep is killed with trainings at work", how="SIGKILL of `modelyard sweep`")
def test_a_killed_sweep_goes_on_and_repeats_nothing(environment: dict[str, str]) -> None:
    """Killed with two workers, it goes on with one."""
    kinds = ["-a", "rnn", "--seeds", "0-1", "--set", "training.epochs=2"]
    command = [*SWEEP, *kinds, "--name", "grid"]
    process, family, _ = started_until([*command, "--workers", "2"], environment, "1/2 ")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not psutil.wait_procs(family, timeout=10)[1]
    steps = Home(Path(environment["MODELYARD_HOME"])).steps
    before = {folder.name: folder.stat().st_mtime_ns for folder in steps.glob("train-*")}
    assert before
    again = subprocess.run(
        [*command, "--workers", "1", "--json"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    found = json.loads(again.stdout)
    assert found["states"] == {"finished": 2, "pruned": 0, "failed": 0}
    after = {folder.name: folder.stat().st_mtime_ns for folder in steps.glob("train-*")}
    assert len(after) == 2 and before.items() <= after.items()
    recorded = runs_of(environment, "grid")
    assert [run.info.status for run in recorded] == ["FINISHED"] * 2
    client, _ = open_store(Home(Path(environment["MODELYARD_HOME"])))
    assert all(len(client.get_metric_history(run.info.run_id, "train/loss")) == 2 for run in recorded)
    assert_the_benchmark_misses_what_is_missing(Home(Path(environment["MODELYARD_HOME"])), "grid")


def assert_the_benchmark_misses_what_is_missing(home: Home, sweep: str) -> None:
    builds = builds_of(home, sweep)
    assert list(missing_in_mlflow(home, sweep, builds)) == []
    with sqlite3.connect(home.database) as database:
        one = "SELECT rowid FROM metrics WHERE key = 'train/loss' AND step = 2 LIMIT 1"
        database.execute(f"DELETE FROM metrics WHERE rowid = ({one})")
    database.close()
    (line,) = missing_in_mlflow(home, sweep, builds)
    assert line.endswith("train/loss has 1 points, the training 2")
    assert f"{sweep}: Prefect's flow runs [('CRASHED',), ('COMPLETED',)]" in list(
        missing_in_prefect(home, sweep, builds)
    )
