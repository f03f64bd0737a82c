"""One run for each key, with every epoch once, whatever was killed between."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from modelyard.home import Home
from modelyard.progress import EpochReport
from modelyard.tracking import runs
from modelyard.tracking.store import open_store
from tests.blank import Templates

TAGS = {"modelyard.dataset": "lit", "modelyard.data_digest": "0" * 64}


def report(epoch: int) -> EpochReport:
    return EpochReport(epoch, 5, 1 / epoch, 2 / epoch, 0.5, 1e-3, 0.1, 0.2, 2 / epoch)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    return templates.store(tmp_path_factory.mktemp("store"))


@pytest.mark.fault("five equal runs are recorded at once", how="five threads on one store")
def test_equal_commands_at_once_share_one_run(home: Home) -> None:
    open_store(home)
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(runs.start_run(home, "key", name="n", params={"seed": 3}, tags=TAGS))
        )
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 5
    assert len(set(found)) == 1


@pytest.mark.fault(
    "a run is killed while it is being recorded",
    how="it ends between making the MLflow run and describing it",
)
@pytest.mark.parametrize("last", ["create_run", "log_batch"])
def test_a_run_that_was_made_and_not_described_is_described_later(
    last: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    missing = {"create_run": "log_batch", "log_batch": "log_inputs"}[last]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MlflowClient, missing, killed)
        runs.start_run(home, last, name="n", params={"seed": 3, "width": 5}, tags=TAGS)
    run_id = runs.start_run(home, last, name="n", params={"seed": 3, "width": 5}, tags=TAGS)
    assert runs.start_run(home, last, name="n", params={"seed": 3, "width": 5}, tags=TAGS) == run_id
    client, experiment = open_store(home)
    (run,) = client.search_runs([experiment], f"tags.`{runs.KEY_TAG}` = '{last}'")
    assert run.data.params == {"seed": "3", "width": "5"}
    assert run.inputs is not None and [given.dataset.name for given in run.inputs.dataset_inputs] == ["lit"]


def test_an_epoch_is_recorded_once_and_a_missing_one_is_filled_in(home: Home) -> None:
    run_id = runs.start_run(home, "epochs", name="n", params={}, tags=TAGS)
    for epoch in (1, 3, 3):
        runs.log_epochs(home, run_id, [report(epoch)])
    runs.log_epochs(home, run_id, [report(epoch) for epoch in range(1, 6)])
    client, _ = open_store(home)
    history = client.get_metric_history(run_id, "train/loss")
    assert sorted(metric.step for metric in history) == [1, 2, 3, 4, 5]
    assert {metric.step: metric.value for metric in history} == {epoch: 1 / epoch for epoch in range(1, 6)}


def test_a_pre_training_has_curves_of_its_own(home: Home) -> None:
    run_id = runs.start_run(home, "pretraining", name="n", params={}, tags=TAGS)
    runs.log_epochs(home, run_id, [report(1), report(2)], "pretrain")
    runs.log_epochs(home, run_id, [report(1)])
    runs.log_epochs(home, run_id, [report(epoch) for epoch in (1, 2, 3)], "pretrain")
    client, _ = open_store(home)
    names = client.get_run(run_id).data.metrics
    assert {name for name in names if name.startswith("pretrain/")} == {*runs.CURVES["pretrain"]}
    steps = {name: len(client.get_metric_history(run_id, name)) for name in ("pretrain/loss", "train/loss")}
    assert steps == {"pretrain/loss": 3, "train/loss": 1}


def test_the_last_comparison_is_the_newest_group(home: Home, tmp_path: Path) -> None:
    assert runs.newest_group(home) == []
    first, second = (runs.start_run(home, key, name="n", params={}, tags=TAGS) for key in ("one", "two"))
    runs.group_run(home, [first], "earlier", "board")
    runs.group_run(home, [second], "later", "board")
    assert runs.newest_group(home) == [second]


def test_a_run_ends_without_the_report_of_an_evaluation_that_is_gone(home: Home, tmp_path: Path) -> None:
    run_id = runs.start_run(home, "gone", name="gone", params={}, tags=TAGS)
    runs.finish_run(home, run_id, {"test/accuracy": 0.5}, tmp_path / "gone")
    assert runs.is_finished(home, run_id)
