"""The mirror at a real MLflow server is equal to the store after every outage, and nothing in it
is doubled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from modelyard.errors import ConfigError, RemoteError, StoreError
from modelyard.home import Home
from modelyard.mirror.copies import RUN_TAG
from modelyard.mirror.mirror import Outcome, sync
from modelyard.mirror.remote import Remote, asking, configured_remote
from modelyard.mirror.sent import count_waiting
from modelyard.progress import EpochReport
from modelyard.registry import versions as registry
from modelyard.tracking import runs
from modelyard.tracking.store import open_store
from tests.blank import Templates
from tests.bundles import lit_bundle
from tests.mirror.remote_server import HarmfulProxy, MlflowServer, differences

TAGS = {"modelyard.dataset": "lit", "modelyard.data_digest": "0" * 64}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Iterator[MlflowServer]:
    folder = tmp_path_factory.mktemp("server")
    templates.mlflow(folder / "server.db")
    with MlflowServer(folder).running() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: MlflowServer) -> Iterator[HarmfulProxy]:
    with HarmfulProxy(server.port).running() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Home:
    return templates.store(tmp_path_factory.mktemp("store"))


def add_run(home: Home, key: str, epochs: int = 5) -> str:
    """A finished run with curves, report, logged model, version and alias."""
    bundle = lit_bundle(home.steps / key, fooled=False, metrics={"test/accuracy": 0.5}, data_digest="0" * 64)
    report = home.steps / f"report-{key}"
    report.mkdir(parents=True)
    (report / "per_class.csv").write_text(key * 1000)
    run_id = runs.start_run(home, key, name=key, params={"seed": key}, tags=TAGS)
    reports = [EpochReport(n, epochs, 1 / n, 2 / n, 0.5, 1e-3, 0.1, 0.2, 2 / n) for n in range(1, epochs + 1)]
    runs.log_epochs(home, run_id, reports)
    model_id = registry.log_bundle(home, run_id, bundle)
    runs.finish_run(home, run_id, {"test/accuracy": 0.5, "test/ece": float("nan")}, report, model_id)
    score = {"validation_accuracy": "0.5", "validation_nll": "0.1"}
    version = registry.register(
        home, run_id, bundle, model_id, {"label": "cnn", "evaluation": "none", **score}
    )
    open_store(home)[0].set_registered_model_alias(version.name, "champion", str(version.number))
    return run_id


def send(home: Home, address: str) -> Outcome:
    return sync(home, Remote(address), lambda _: None)


@pytest.mark.fault("the MLflow server is down while runs are made", how="nothing listens; then a real server")
def test_what_was_made_during_an_outage_arrives_once(
    home: Home, server: MlflowServer, proxy: HarmfulProxy
) -> None:
    add_run(home, "one")
    outcome = send(home, "http://127.0.0.1:9")
    assert (outcome.sent, outcome.waiting) == (0, 1)
    assert outcome.problem == "the MLflow server http://127.0.0.1:9 refuses connections"
    assert send(home, proxy.address) == Outcome(1, 0, "")
    assert differences(home, server) == ([], [])
    assert send(home, proxy.address) == Outcome(0, 0, "")


@pytest.mark.fault(
    "a second copy of a run appears at the MLflow server", how="made there by hand with the same tag"
)
def test_a_late_double_is_removed(home: Home, server: MlflowServer, proxy: HarmfulProxy) -> None:
    client = MlflowClient(server.database)
    experiment = client.get_experiment_by_name("modelyard")
    assert experiment is not None
    first = client.search_runs([experiment.experiment_id])[0]
    client.create_run(experiment.experiment_id, tags={RUN_TAG: first.data.tags[RUN_TAG]})
    assert differences(home, server)[1] != []
    sync(home, Remote(proxy.address), lambda _: None, verify=True)
    assert differences(home, server) == ([], [])


@pytest.mark.fault(
    "the MLflow server's answers to writes are lost", how="a proxy forwards them and cuts the connection"
)
def test_a_lost_answer_doubles_nothing(home: Home, server: MlflowServer, proxy: HarmfulProxy) -> None:
    add_run(home, "two")
    proxy.lost_answers = 4
    outcomes = [send(home, proxy.address) for _ in range(2)]
    assert "broke the connection" in outcomes[0].problem
    assert outcomes[-1].problem == "" and outcomes[-1].waiting == 0
    assert proxy.lost_answers == 0
    assert differences(home, server) == ([], [])


@pytest.mark.fault(
    "uploads arrive cut short at the MLflow server", how="a proxy forwards half of each of the first 3"
)
def test_a_partial_upload_is_repeated(home: Home, server: MlflowServer, proxy: HarmfulProxy) -> None:
    add_run(home, "three")
    proxy.cut_uploads = 3
    assert send(home, proxy.address).problem == ""
    assert proxy.cut_uploads == 0
    assert differences(home, server) == ([], [])


@pytest.mark.fault("the process that syncs is killed midway", how="SIGKILL of `modelyard sync`, then another")
def test_a_killed_sync_is_completed_by_the_next(
    home: Home, server: MlflowServer, proxy: HarmfulProxy
) -> None:
    add_run(home, "four")
    proxy.delay_s = 0.2
    environment = os.environ | {"MODELYARD_HOME": str(home.root), "MODELYARD_REMOTE": proxy.address}
    process = subprocess.Popen(
        [sys.executable, "-m", "modelyard", "sync"], env=environment, stderr=subprocess.DEVNULL
    )
    before = count_requests(server)
    while process.poll() is None and count_requests(server) < before + 8:
        time.sleep(0.02)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert count_waiting(home, Remote(proxy.address)) == 1
    proxy.heal()
    assert send(home, proxy.address).problem == ""
    assert differences(home, server) == ([], [])


def count_requests(server: MlflowServer) -> int:
    return (server.folder / "server.log").read_text().count("HTTP/1.1")


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (503, "answers 503"),
        (500, "answers 500: /api/2.0/mlflow/"),
        (401, "answers 401; set MLFLOW_TRACKING_USERNAME"),
        (403, "answers 403; this user may not write"),
    ],
)
@pytest.mark.fault("the MLflow server refuses", how="a proxy answers 503, 500, 401 or 403")
def test_a_refusal_is_told_in_one_line(home: Home, proxy: HarmfulProxy, status: int, text: str) -> None:
    proxy.status = status
    outcome = send(home, f"{proxy.address}/")  # an address at which nothing is known to have arrived
    proxy.heal()
    assert text in outcome.problem and "\n" not in outcome.problem
    assert outcome.waiting == 4


def test_two_syncs_of_one_store_do_not_meet(home: Home) -> None:
    with (
        FileLock(home.locks / "mirror.lock"),
        pytest.raises(StoreError, match=r"another sync of .* is at work; try again"),
    ):
        sync(home, Remote("http://127.0.0.1:9"), lambda _: None, lock_seconds=0.1)


def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_REMOTE", "mlflow.example:5000")
    with pytest.raises(
        ConfigError,
        match=r"MODELYARD_REMOTE is 'mlflow.example:5000'; expected an MLflow server such as http://",
    ):
        configured_remote()
    monkeypatch.setenv("MODELYARD_REMOTE", "http://me:secret@mlflow.example:5000")
    remote = configured_remote()
    assert remote is not None
    assert remote.name == "http://mlflow.example:5000"


@pytest.mark.parametrize(
    "address",
    ["htps://me:secret@host", "http://me:sec/ret@host", "http://me:secret@[bad", "me:secret@host:5"],
)
def test_l13_a_wrong_address_is_told_without_its_password(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_REMOTE", address)
    with pytest.raises(ConfigError, match="MODELYARD_REMOTE is") as refused:
        configured_remote()
    assert not {"secret", "ret@", "me:"} & {
        part for part in ("secret", "ret@", "me:") if part in str(refused.value)
    }


@pytest.mark.parametrize(
    "text", ["API request to {}/api/2.0/x failed with exception refused", "error code 500 {}/x"]
)
def test_l13_no_trace_of_a_refusal_has_the_password(text: str) -> None:
    address = f"http://me:{'SECRET'.lower()}@host"  # the trace shows this very source
    with pytest.raises(RemoteError) as refused, asking(Remote(address)):
        raise MlflowException(text.format(address))
    assert "secret" not in "".join(traceback.format_exception(refused.value))


def test_the_record_can_be_lost(home: Home, server: MlflowServer) -> None:
    for path in (home.state / "mirror").rglob("*.json"):
        Path(path).unlink()
    outcome = send(home, server.address)
    assert (outcome.problem, outcome.waiting) == ("", 0)
    assert differences(home, server) == ([], [])
