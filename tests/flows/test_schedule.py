"""Schedules on a real Prefect server: what is wrong is refused first, what was killed goes on, what was missed is covered."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_HOME, temporary_settings
from prefect.states import Crashed, Failed, Pending, Running, Scheduled
from pydantic import ValidationError

from flows import outlook, schedule, sweep
from flows.ephemeral import ephemeral_server
from flows.processes import _wait_until_ready
from flows.reconciliation import MAX_ATTEMPTS, PUT_BACK, claim, reconcile
from flows.refresh import ENTRYPOINT, RefreshRequest, _cover_missed
from flows.schedule import NewSchedule, parse_cron
from modelyard import cli_schedule
from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.identity import identity
from modelyard.requests import BuildRequest, CompareRequest, compare_request
from modelyard.sweeps.request import SweepRequest
from modelyard.tracking.relocation import rewrite_schedules
from tests.blank import Templates
from tests.data.samples import image_folder, modelyard


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Iterator[SyncPrefectClient]:
    home = templates.store(tmp_path_factory.mktemp("store"), prefect=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home.prefect))
        with ephemeral_server(home) as server:
            server.go()
            api = {PREFECT_API_URL: f"{server.address}/api", PREFECT_API_AUTH_STRING: server.auth}
            with temporary_settings({**api, PREFECT_HOME: home.prefect}):
                _wait_until_ready(server, home)
                with get_client(sync_client=True) as made:
                    yield made


@pytest.fixture
def nightly(client: SyncPrefectClient) -> Iterator[str]:
    schedule.add(
        NewSchedule(name="nightly", cron="0 2 * * *", timezone="Europe/Berlin", request=RefreshRequest(dataset="digits"))
    )
    yield "nightly"
    schedule.remove("nightly")


def due(client: SyncPrefectClient, minutes_ago: int) -> FlowRun:
    """A run of the schedule that was due so long ago."""
    deployment = schedule.find(client, "nightly")
    when = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return client.create_flow_run_from_deployment(deployment.id, state=Scheduled(scheduled_time=when))


def gone() -> str:
    """The identity of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = identity(process.pid)
        process.kill()
    return name


@pytest.mark.parametrize(
    ("cron", "timezone", "expected"),
    [
        ("61 * * * *", "UTC", "wrong cron line '61 [*] [*] [*] [*]': expected minute hour day month weekday"),
        ("daily", "UTC", "wrong cron line 'daily'"), ("", "UTC", "wrong cron line ''"),
        ("0 2 * * *", "Berlin", "unknown time zone 'Berlin': expected an IANA name such as Europe/Berlin"),
    ],
)  # fmt: skip
def test_a_wrong_time_is_refused(cron: str, timezone: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_cron(cron, timezone)


@pytest.mark.parametrize("name", ["a/b", "100%", "cats & dogs", "<b>"])
def test_a_name_that_prefect_refuses_is_refused_first(client: SyncPrefectClient, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a schedule's or a pool's name: expected none of / % & > <"):
        schedule.check_names("Pets of 2026", name)
    with pytest.raises(ValidationError):
        schedule.add(NewSchedule(name=name, cron="0 2 * * *", timezone="UTC", request=RefreshRequest(dataset="digits")))


def test_a_schedule_is_listed_paused_and_not_added_twice(client: SyncPrefectClient, nightly: str) -> None:
    (row,) = outlook.rows()
    assert (row["name"], row["cron"], row["timezone"], row["state"]) == (nightly, "0 2 * * *", "Europe/Berlin", "active")
    with pytest.raises(ConfigError, match="schedule 'nightly' exists; remove it first"):
        schedule.add(NewSchedule(name=nightly, cron="0 3 * * *", timezone="UTC", request=RefreshRequest(dataset="digits")))
    schedule.pause(nightly)
    assert outlook.rows()[0]["state"] == "paused"
    schedule.resume(nightly)
    assert outlook.rows()[0]["state"] == "active"
    with pytest.raises(ConfigError, match="unknown schedule 'nihgtly': expected nightly"):
        schedule.remove("nihgtly")
    deployment = schedule.find(client, nightly)
    assert RefreshRequest.model_validate(deployment.parameters["request"]) == RefreshRequest(dataset="digits")


@pytest.mark.fault("a scheduled run is killed", how="a run whose process is gone, on a real server")
@pytest.mark.usefixtures("nightly")
def test_a_killed_run_is_tried_again_and_not_for_ever(client: SyncPrefectClient) -> None:
    run = due(client, 1)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        client.set_flow_run_state(run.id, Running(), force=True)
        claim(client, client.read_flow_run(run.id), gone())
        assert reconcile(put_back=True) == [run.name]
        found = client.read_flow_run(run.id)
        assert found.run_count == attempt
        assert found.state_name == ("AwaitingRetry" if attempt < MAX_ATTEMPTS else "Crashed")
        assert not any(tag.startswith("process:") for tag in found.tags)
    assert reconcile(put_back=True) == []


@pytest.mark.fault(
    "a scheduled run is killed, and Prefect's worker sees it first", how="a Crashed run of a process that is gone"
)
@pytest.mark.usefixtures("nightly")
def test_a_run_that_prefect_calls_crashed_is_tried_again(client: SyncPrefectClient) -> None:
    run = due(client, 1)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        client.set_flow_run_state(run.id, Running(), force=True)
        claim(client, client.read_flow_run(run.id), gone())
        client.set_flow_run_state(run.id, Crashed(message="Process exited with status code: -9"), force=True)
        assert reconcile() == []
        assert reconcile(put_back=True) == [run.name]
        assert client.read_flow_run(run.id).state_name == ("AwaitingRetry" if attempt < MAX_ATTEMPTS else "Crashed")
        assert reconcile(put_back=True) == []
    assert not any(tag.startswith(PUT_BACK) for tag in client.read_flow_run(run.id).tags)


@pytest.mark.usefixtures("nightly")
def test_a_second_report_of_the_same_end_does_not_undo_the_retry(client: SyncPrefectClient) -> None:
    """Prefect's worker reports an exit twice, seconds apart; the second one comes when the run waits already."""
    run = due(client, 1)
    client.set_flow_run_state(run.id, Running(), force=True)
    claim(client, client.read_flow_run(run.id), gone())
    for report in ("Process exited", "Flow run infrastructure exited"):
        client.set_flow_run_state(run.id, Crashed(message=f"{report} with status code: -9"), force=True)
        assert reconcile(put_back=True) == [run.name]
        assert client.read_flow_run(run.id).state_name == "AwaitingRetry"
    client.set_flow_run_state(run.id, Running(), force=True)
    claim(client, client.read_flow_run(run.id), identity(os.getpid()))
    assert reconcile(put_back=True) == []


@pytest.mark.fault(
    "Prefect's server is killed under a scheduled run", how="a Failed run with the error that Prefect's client raises"
)
@pytest.mark.usefixtures("nightly")
def test_an_outage_is_tried_again_and_a_wrong_input_is_not(client: SyncPrefectClient) -> None:
    outage, refused = due(client, 1), due(client, 2)
    messages = {
        outage.id: "ConcurrencySlotAcquisitionError: Unable to acquire",
        refused.id: "DataRefused: these data are refused",
    }
    for number, message in messages.items():
        client.set_flow_run_state(number, Running(), force=True)
        claim(client, client.read_flow_run(number), gone())
        client.set_flow_run_state(number, Failed(message=f"Flow run encountered an exception: {message}"), force=True)
    assert reconcile(put_back=True) == [outage.name]
    assert client.read_flow_run(outage.id).state_name == "AwaitingRetry"
    assert client.read_flow_run(refused.id).state_name == "Failed"


@pytest.mark.usefixtures("nightly")
def test_a_run_at_work_or_just_about_to_start_is_left_alone(client: SyncPrefectClient) -> None:
    working, starting = due(client, 1), due(client, 2)
    client.set_flow_run_state(working.id, Running(), force=True)
    claim(client, client.read_flow_run(working.id), identity(os.getpid()))
    client.set_flow_run_state(starting.id, Pending(), force=True)
    assert reconcile(put_back=True) == []


@pytest.mark.fault("runs are missed while nothing runs", how="overdue runs on a real server")
@pytest.mark.usefixtures("nightly")
def test_one_late_run_covers_the_gap(client: SyncPrefectClient) -> None:
    missed, late, ahead = due(client, 9), due(client, 5), due(client, -60)
    _cover_missed(client, late)
    found = client.read_flow_run(missed.id)
    assert found.state is not None and found.state.type == StateType.CANCELLED
    assert found.state.message == f"covered by the run {late.name}"
    for other in (late, ahead):
        state = client.read_flow_run(other.id).state
        assert state is not None and state.is_scheduled()


@pytest.mark.fault("a store with schedules is moved", how="a schedule of a store that was elsewhere, on a real server")
def test_the_schedules_of_a_moved_store_run_where_it_is_now(client: SyncPrefectClient) -> None:
    moved = Home(PREFECT_HOME.value().parent)
    stores = {"ours": "/was/here", "theirs": "/was/here-too"}
    for name, store in stores.items():
        told = {"MODELYARD_HOME": store, "MODELYARD_DATA": "/was/here/data"}
        request = RefreshRequest(dataset="digits")
        schedule.add(NewSchedule(name=name, cron="0 2 * * *", timezone="UTC", request=request, environment=told))
    assert rewrite_schedules(moved, Path("/was/here")) == 1
    found = {name: schedule.find(client, name).job_variables["env"] for name in stores}
    assert found["ours"] == {"MODELYARD_HOME": str(moved.root), "MODELYARD_DATA": "/was/here/data"}
    assert found["theirs"]["MODELYARD_HOME"] == "/was/here-too"
    for name in stores:
        schedule.remove(name)


def test_a_runs_own_server_is_opened_by_its_string_alone(client: SyncPrefectClient) -> None:
    """C1: its port is found by who looks for it, a web page included."""
    api, other = PREFECT_API_URL.value() or "", {"Origin": "http://evil.example"}
    assert httpx.get(f"{api}/health").status_code == 200
    assert httpx.get(f"{api}/admin/settings").status_code == 401
    assert httpx.post(f"{api}/flows/", json={"name": "x"}).status_code == 401
    opened = ("modelyard", (PREFECT_API_AUTH_STRING.value() or "").partition(":")[2])
    assert httpx.get(f"{api}/admin/settings", auth=opened).status_code == 200
    assert httpx.get(f"{api}/admin/settings", auth=opened, headers=other).status_code == 403
    assert httpx.get(f"{api}/admin/settings", auth=opened, headers={"Host": "evil.example"}).status_code == 421
    assert httpx.options(f"{api}/flows/", headers=other).status_code == 403


def test_prefects_file_holds_deployments_that_load() -> None:
    whole = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())
    (deployment,) = whole["deployments"]
    assert whole["pull"] == []
    assert deployment["entrypoint"] == ENTRYPOINT
    assert load_flow_from_entrypoint(deployment["entrypoint"]).name == "refresh"
    assert RefreshRequest.model_validate(deployment["parameters"]["request"]).dataset == "auto"
    assert isinstance(parse_cron(**deployment["schedules"][0]), CronSchedule)


@pytest.mark.parametrize(("words", "model"), [([], ""), (["--model-name", "pets"], "pets")])
def test_a_schedule_keeps_its_models_name_and_where_its_data_are(
    store: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], model: str
) -> None:
    image_folder(store / "images", {"a": 9, "b": 9})
    monkeypatch.chdir(store)
    added: list[NewSchedule] = []
    monkeypatch.setattr(schedule, "add", added.append)
    monkeypatch.setattr(cli_schedule, "_prefect", nullcontext)
    assert modelyard("schedule", "add", "compare", "--cron", "0 2 * * *", "-d", "images", *words) == 0
    assert (added[0].name, added[0].request.name, added[0].request.dataset) == ("images", model, str(store / "images"))
    assert compare_request(**added[0].request.model_dump()).name == model
    assert modelyard("schedule", "add", "compare", "--cron", "0 2 * * *", "-d", "images", "--model-name", "No Name") == 2


def test_a_folder_that_is_called_as_a_named_set_does_not_take_its_place(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_folder(store / "digits", {"a": 9, "b": 9})
    monkeypatch.chdir(store)
    added: list[NewSchedule] = []
    monkeypatch.setattr(schedule, "add", added.append)
    monkeypatch.setattr(cli_schedule, "_prefect", nullcontext)
    assert modelyard("schedule", "add", "compare", "--cron", "0 2 * * *", "-d", "digits") == 0
    assert added[0].request.dataset == "digits"


def test_a_sweep_hands_its_models_name_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[CompareRequest] = []

    def prepared_builds(wanted: CompareRequest) -> list[BuildRequest]:
        asked.append(wanted)
        return []

    monkeypatch.setattr(sweep, "prepared_builds", prepared_builds)
    sweep._builds(SweepRequest(name="mine", dataset="digits", architectures=("rnn",), model_name="pets"), 1)
    assert asked[0].name == "pets"
