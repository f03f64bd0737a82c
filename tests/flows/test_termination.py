"""A run that is told to end, and one whose training alone is killed."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from modelyard.alerts import read_record
from modelyard.home import Home
from modelyard.tracking.store import open_store
from tests.flows.command import ROOT, RUN, environment_below, started_until, words_of


def _kill_training(run: subprocess.Popen[str]) -> None:
    """SIGKILL for the training alone, as the kernel does when memory runs out."""
    while run.poll() is None:
        for child in psutil.Process(run.pid).children():
            if "modelyard.training" in words_of(child):
                child.kill()
                return
        time.sleep(0.05)


@pytest.mark.fault("a run is told to end in its training", how="SIGTERM to `modelyard run`; then SIGKILL of its training")
def test_a_terminated_run_is_marked_leaves_nothing_and_goes_on(tmp_path: Path) -> None:
    environment = environment_below(tmp_path)
    command = [*RUN, "-a", "rnn", "--seed", "5"]
    process, family = started_until(command, environment, "rnn  epoch 1/2")
    process.terminate()
    errors = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "run the same command again to go on from the last checkpoint" in errors
    assert not psutil.wait_procs(family, timeout=10)[1]
    client, experiment = open_store(Home(Path(environment["MODELYARD_HOME"])))
    (run,) = client.search_runs([experiment], "params.seed = '5'")
    assert run.info.status == "KILLED"
    assert [entry["kind"] for entry in read_record(Home(Path(environment["MODELYARD_HOME"])))] == ["crash"]
    again = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _kill_training(again)
    errors = again.communicate()[1]
    assert (again.returncode, errors.count("rnn  training ...")) == (0, 2)
    assert "rnn  epoch 1/2" not in errors
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
