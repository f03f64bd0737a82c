"""The real command on a real store, told to end in its training."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from modelyard.alerts.record import read_record
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.flows.command import RUN, environment_below, started_until


@pytest.mark.fault("a run is told to end in its training", how="SIGTERM to `modelyard run`")
def test_a_terminated_run_is_marked_leaves_nothing_and_tells_how_to_go_on(
    tmp_path: Path, shared_cache: Path, templates: Templates
) -> None:
    home = templates.store(tmp_path / "runs", prefect=True)
    process, family, said = started_until(
        [*RUN, "-a", "rnn"], environment_below(tmp_path, shared_cache), "rnn  epoch 1/2"
    )
    process.terminate()
    said += process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "run the same command again to go on from the last checkpoint" in said
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert list(home.checkpoints.glob("*.safetensors"))
    client, experiment = open_store(home)
    (run,) = client.search_runs([experiment], "attributes.status = 'KILLED'")
    assert run.data.tags["label"] == "rnn"
    assert [entry["kind"] for entry in read_record(home)] == ["crash"]
