"""The real command on a real store: run, rerun, kill -9 and go on, predict."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from modelyard.bundle import open_bundle
from modelyard.data.sources import load_dataset
from modelyard.home import Home
from modelyard.predict import predict_files, released_folder
from modelyard.tracking.reconcile import NOTE, reconcile
from modelyard.tracking.registry import versions
from modelyard.tracking.store import open_store
from tests.flows.command import ROOT, RUN, environment_below, started_until, words_of


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return environment_below(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def first(environment: dict[str, str]) -> dict[str, Any]:
    """The outcome of a first run that was killed in the second of three trainings and run again."""
    home = Home(Path(environment["MODELYARD_HOME"]))
    process, family = started_until(RUN, environment, "rnn  epoch 1/2")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    training = [child for child in family if child.is_running() and "modelyard.training" in " ".join(words_of(child))]
    psutil.wait_procs(training, timeout=10)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in training)
    checkpoints = list(home.checkpoints.glob("*.safetensors"))
    marked = _reconciled(home)
    again = subprocess.run(RUN, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    servers = [child for child in family if child.is_running() and "uvicorn" in " ".join(words_of(child))]
    return {"stderr": again.stderr, "result": json.loads(again.stdout), "checkpoints": checkpoints, "orphans": servers} | marked


def _reconciled(home: Home) -> dict[str, Any]:
    """What reconciling says and makes of the run and of the scratch folder that the killed process left."""
    (scratch,) = home.steps.glob(".*")
    os.utime(scratch, (0, 0))
    told = reconcile(home)
    client, experiment = open_store(home)
    (run,) = client.search_runs([experiment], "attributes.status = 'KILLED'")
    return {"told": told, "killed": run, "scratch": scratch, "told again": reconcile(home)}


@pytest.mark.fault("a run is killed in the second of three trainings", how="SIGKILL of `modelyard run`")
def test_after_a_kill_the_first_is_not_repeated_and_the_second_goes_on(first: dict[str, Any]) -> None:
    assert "cnn  training: done before, skipped" in first["stderr"]
    assert "rnn  epoch 1/2" not in first["stderr"]
    assert "rnn  epoch 2/2" in first["stderr"]
    assert "transformer  epoch 1/2" in first["stderr"]
    assert len(first["checkpoints"]) == 1
    assert first["orphans"] == []


def test_reconciling_marks_the_killed_run_and_removes_its_scratch_folder(first: dict[str, Any]) -> None:
    told, run, scratch = first["told"], first["killed"], first["scratch"]
    assert told == [f"marked digits-rnn-0 as killed: {NOTE}", f"removed {scratch}: its writer is gone"]
    assert first["told again"] == []
    assert run.data.tags["mlflow.note.content"] == NOTE
    assert run.info.start_time <= run.info.end_time < time.time() * 1000
    assert not scratch.exists()


def test_every_architecture_is_recorded_registered_and_released(first: dict[str, Any], environment: dict[str, str]) -> None:
    home = Home(Path(environment["MODELYARD_HOME"]))
    board = {row["architecture"]: row for row in first["result"]["board"]}
    assert set(board) == {"cnn", "rnn", "transformer"}
    aliases = {alias for version in versions(home, "digits") for alias in version.aliases}
    assert aliases == {"champion", "cnn", "rnn", "transformer"}
    client, experiment = open_store(home)
    runs = client.search_runs([experiment])
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    for run in runs:
        assert len(client.get_metric_history(run.info.run_id, "train/loss")) == 2
        row = board[run.data.tags["label"]]
        assert round(100 * run.data.metrics["test/accuracy"], 2) == row["test %"]
        assert open_bundle(home.releases / "digits" / str(row["version"])).architecture == run.data.tags["architecture"]
    ledger = [json.loads(line) for line in (home.releases / "digits" / "ledger.jsonl").read_text().splitlines()]
    assert ledger[-1]["alias"] == "champion"
    assert all("hash" in entry for entry in ledger)
    judged = {judgement["version"]: judgement for judgement in first["result"]["gates"]}
    assert judged[ledger[-1]["to"]]["passed"]
    assert {verdict["name"] for verdict in judged[ledger[-1]["to"]]["verdicts"]} >= {"parity", "accuracy", "per class", "size"}


def test_a_rerun_skips_everything_and_changes_nothing(first: dict[str, Any], environment: dict[str, str]) -> None:
    again = subprocess.run(RUN, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert again.stderr.count("done before, skipped") == 12
    assert json.loads(again.stdout)["board"] == first["result"]["board"]
    assert len(versions(Home(Path(environment["MODELYARD_HOME"])), "digits")) == 3


@pytest.mark.usefixtures("first")
def test_the_release_answers_for_an_image_file(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_CACHE", environment["MODELYARD_CACHE"])
    home, digits = Home(Path(environment["MODELYARD_HOME"])), load_dataset("digits")
    files = [tmp_path / f"{row}.png" for row in range(40)]
    for row, file in enumerate(files):
        Image.fromarray(digits.train.gather(slice(row, row + 1))[0, 0]).save(file)
    answers = [row["label"] for row in predict_files(home, "digits@champion", files)]
    hits = sum(answer == str(label) for answer, label in zip(answers, digits.train.labels_N[:40], strict=True))
    assert hits >= 20
    assert released_folder(home, "digits@1").name == "1"
