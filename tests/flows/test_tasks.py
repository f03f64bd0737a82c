"""What is made again after housekeeping is what was there before, and is not registered twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import tasks
from modelyard.bundle import MODEL_FILE, open_bundle
from modelyard.home import Home
from modelyard.housekeeping.rubbish import Policy, remove_rubbish
from modelyard.registry import versions as registry
from modelyard.steps.nodes import nodes
from modelyard.tracking import runs
from modelyard.tracking.store import open_store
from tests.trained import Trained, builds

EVERYTHING = Policy(seconds=0, moves=0)


@pytest.fixture
def home(warm_store: Path, trained: Trained) -> Home:
    """A store where the steps are done, and nothing is recorded."""
    home = Home(warm_store / "runs")
    trained.steps(home, "cnn")
    return home


def built(home: Home) -> tuple[str, int]:
    """The tasks of flow `build` without Prefect's engine: MLflow run and version."""
    (request,) = builds(home, "cnn")
    run_id = tasks.start_run.fn(request)
    for node in nodes(request)[1:]:
        tasks.run_step.fn(node, request, run_id)
    return run_id, tasks.register.fn(request, run_id)


def test_a_rerun_after_gc_ends_in_the_version_that_was_registered(home: Home) -> None:
    run_id, number = built(home)
    release = home.releases / "digits" / str(number)
    before = open_bundle(release)
    gone = {item.kind for item in remove_rubbish(home, EVERYTHING)}
    assert {"step data", "step train", "step evaluate", "step export", "release"} <= gone
    assert not release.exists() and not any(home.steps.iterdir())

    assert built(home) == (run_id, number)
    after = open_bundle(release)
    assert after.files[MODEL_FILE] == before.files[MODEL_FILE]
    assert after.metrics["train/seconds"] != before.metrics["train/seconds"]
    assert [version.number for version in registry.versions(home, "digits")] == [number]


@pytest.mark.fault(
    "a run fails after its model was registered", how="its MLflow run is marked FAILED; then deleted"
)
def test_a_registered_model_is_found_by_a_run_that_failed_and_by_a_new_one(home: Home) -> None:
    run_id, number = built(home)
    client, _ = open_store(home)
    runs.fail_run(home, run_id, "the disk was full when it was published")
    assert built(home) == (run_id, number)
    assert client.get_run(run_id).info.status == "FINISHED"

    client.delete_run(run_id)
    other, same = built(home)
    assert other != run_id and same == number
    told = client.get_run(other)
    assert told.info.status == "FINISHED"
    assert told.data.metrics["test/accuracy"] == client.get_run(run_id).data.metrics["test/accuracy"]
