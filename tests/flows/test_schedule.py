"""Schedules on a real Prefect server: what is wrong is refused first, what was killed goes on, what was
missed is covered.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    DeploymentCreate,
    DeploymentScheduleCreate,
    DeploymentUpdate,
    WorkPoolUpdate,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_HOME
from prefect.states import Crashed, Failed, Pending, Running, Scheduled
from pydantic import ValidationError

from flows import outlook, schedule, sweep
from flows.ephemeral import is_own
from flows.placement import placed
from flows.reconciliation import MAX_ATTEMPTS, PUT_BACK, claim, reconcile
from flows.refresh import ENTRYPOINT, _cover_missed
from flows.schedule import NewSchedule
from flows.times import next_dates, parse_cron
from modelyard.cli import schedule as cli_schedule
from modelyard.errors import ConfigError, StoreError
from modelyard.home import Home
from modelyard.machine.identity import identity
from modelyard.machine.store_mark import StoreMark
from modelyard.operations.work_pool import POOL
from modelyard.recipes.request import CompareRequest, compare_request
from modelyard.recipes.words import Words
from modelyard.steps.requests import BuildRequest
from modelyard.sweeps.request import SweepRequest
from modelyard.tracking.relocation import rewrite_schedules
from tests.blank import Templates
from tests.data.samples import image_folder, modelyard
from tests.flows.command import prefect_served


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Iterator[SyncPrefectClient]:
    with prefect_served(templates.store(tmp_path_factory.mktemp("store"), prefect=True)) as made:
        yield made


@pytest.fixture
def nightly(client: SyncPrefectClient) -> Iterator[str]:
    schedule.add(
        NewSchedule(
            name="nightly", cron="0 2 * * *", timezone="Europe/Berlin", request=Words(dataset="digits")
        )
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
        ("* * * * * *", "UTC", "wrong cron line"), ("0 0 31 2 *", "UTC", "'0 0 31 2 [*]' is never due"),
        ("0 0 31 4,6,9,11 *", "Asia/Kolkata", "is never due in .*Kolkata: "
"expected a day that its months have"),
        ("0 2 * * *", "Berlin", "unknown time zone 'Berlin': expected an IANA name such as Europe/Berlin"),
        ("0 2 * * *", "", "unknown time zone ''"), ("0 2 * * *", "localtime", "in the time zone "
"localtime: .*IANA"),
    ],
)  # fmt: skip
def test_a_wrong_time_is_refused(cron: str, timezone: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_cron(cron, timezone)


@pytest.mark.parametrize(
    "name", ["a/b", "100%", "cats & dogs", "<b>", "", " ", "a\nb", "\x1b[2J", "-rf", "x" * 201]
)
def test_a_name_that_prefect_or_a_terminal_refuses_is_refused_first(name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot be a schedule's or a pool's name: expected a line .* none of / % & > <"
    ):
        schedule.check_names("Pets of 2026, Kätzchen", name)
    if re.search("[/%&<>]", name):
        with pytest.raises(ValidationError):
            DeploymentCreate(name=name, flow_id=uuid4())


@pytest.mark.parametrize("cron", ["0 0 29 2 *", "30 2 * * *", "30 2 28 3 *", "@daily", "0 2 * * sun"])
def test_a_time_that_is_rare_or_that_summer_time_leaves_out_is_taken(cron: str) -> None:
    assert next_dates(parse_cron(cron, "Europe/Berlin"))


def test_a_schedule_is_listed_and_not_added_twice(client: SyncPrefectClient, nightly: str) -> None:
    (row,) = outlook.rows(is_served=False)
    assert (row["name"], row["cron"], row["timezone"], row["next"].hour) == (
        nightly,
        "0 2 * * *",
        "Europe/Berlin",
        2,
    )
    assert (row["state"], "modelyard up" in row["why"]) == ("blocked", True)
    assert str(row["next"].tzinfo) == "Europe/Berlin"
    with pytest.raises(ConfigError, match=r"schedule 'nightly' exists; .*modelyard schedule change nightly"):
        schedule.add(
            NewSchedule(name=nightly, cron="0 3 * * *", timezone="UTC", request=Words(dataset="digits"))
        )
    with pytest.raises(ConfigError, match="unknown schedule 'nihgtly': expected nightly"):
        schedule.remove("nihgtly")
    deployment = schedule.find(client, nightly)
    assert Words.model_validate(deployment.parameters["request"]) == Words(dataset="digits")
    assert "store" not in deployment.parameters


Prevent = Callable[[SyncPrefectClient, DeploymentResponse], object]


def _retimed(client: SyncPrefectClient, found: DeploymentResponse, *times: SCHEDULE_TYPES) -> None:
    for one in found.schedules:
        client.delete_deployment_schedule(found.id, one.id)
    client.create_deployment_schedules(
        found.id, [DeploymentScheduleCreate(schedule=time, active=True) for time in times]
    )


def _switch_off(client: SyncPrefectClient, found: DeploymentResponse) -> None:
    client.update_deployment_schedule(found.id, found.schedules[0].id, active=False)


def _pool(**changes: Any) -> Prevent:
    return lambda client, _: client.update_work_pool(POOL, WorkPoolUpdate(**changes))


def _pause_queue(client: SyncPrefectClient, found: DeploymentResponse) -> None:
    assert found.work_queue_id is not None
    client.update_work_queue(found.work_queue_id, is_paused=True)


def _end_worker(client: SyncPrefectClient, _: DeploymentResponse) -> None:
    client.request(
        "DELETE",
        "/work_pools/{work_pool_name}/workers/{name}",
        path_params={"work_pool_name": POOL, "name": "w"},
    )


def _edit(client: SyncPrefectClient, found: DeploymentResponse) -> None:
    client.update_deployment(found.id, DeploymentUpdate(parameters={"request": "garbage"}))


OVER = RRuleSchedule(rrule="FREQ=DAILY;UNTIL=20240101T000000")
NEVER = CronSchedule(cron="0 0 31 2 *", timezone="UTC")
NOWHERE = CronSchedule(cron="@daily", timezone="localtime")
"""This machine's own zone, which the scheduler does not know."""
MENDED: list[tuple[Prevent, str, str]] = [
    (lambda client, found: client.pause_deployment(found.id), "paused", "schedule resume nightly"),
    (_switch_off, "off", "schedule resume nightly"),
    (_pool(is_paused=True), "blocked", "pool modelyard is paused; .*schedule resume nightly"),
    (_pause_queue, "blocked", "queue default .* paused; .*schedule resume nightly"),
]
NOT_MENDED: list[tuple[Prevent, str, str]] = [  # each is told before the one above it, which stays
    (_end_worker, "blocked", "no worker .*modelyard up"),
    (_pool(concurrency_limit=0), "blocked", "0 runs at once"),
    (_edit, "blocked", "parameters are not those of a schedule .*request: "),
    (lambda client, _: client.delete_work_pool(POOL), "blocked", "pool was deleted; .* --pool modelyard"),
    (lambda client, found: _retimed(client, found, OVER), "ended", "no date is left"),
    (lambda client, found: _retimed(client, found, NEVER), "wrong", "never due"),
    (lambda client, found: _retimed(client, found, NOWHERE), "wrong", "a zone that does not fit"),
    (_retimed, "empty", "no schedule is left; .*schedule change"),
]


def test_it_is_not_active_when_nothing_would_run_and_resume_mends_what_it_may(
    client: SyncPrefectClient, nightly: str
) -> None:
    client.send_worker_heartbeat(POOL, "w", 30)
    for prevent, state, why in (*MENDED, *NOT_MENDED):
        prevent(client, schedule.find(client, nightly))
        (row,) = outlook.rows()
        assert (row["state"], bool(re.search(why, row["why"]))) == (state, True), row["why"]
        if "resume" in why:
            assert schedule.resume(nightly).startswith(nightly)
            assert outlook.rows()[0]["state"] == "active"
    schedule.resume(nightly)
    assert outlook.rows()[0]["state"] == "empty"


def test_each_schedule_is_shown_and_one_that_is_wrong_stops_the_others(
    client: SyncPrefectClient, nightly: str
) -> None:
    client.send_worker_heartbeat(POOL, "w", 30)
    found = schedule.find(client, nightly)
    rule = RRuleSchedule(rrule="DTSTART:20200101T000000\nRRULE:FREQ=DAILY")
    times = [IntervalSchedule(interval=timedelta(minutes=90), timezone="Asia/Tokyo"), rule, NEVER]
    client.create_deployment_schedules(
        found.id, [DeploymentScheduleCreate(schedule=time, active=True) for time in times]
    )
    assert [row["state"] for row in outlook.rows()] == ["blocked"] * 3 + ["wrong"]
    schedule.resume(nightly)  # which switches that one off
    rows = outlook.rows()
    assert [row["state"] for row in rows] == ["active"] * 3 + ["wrong"]
    assert [row["timezone"] for row in rows] == [
        str(row["next"].tzinfo) if row["next"] else "UTC" for row in rows
    ]
    assert [row["every"] for row in rows[1:3]] == ["1:30:00", "DTSTART:20200101T000000 RRULE:FREQ=DAILY"]
    with pytest.raises(ConfigError, match="has 4 schedules; change their times in Prefect's page"):
        schedule.change(schedule.changed(nightly, {}).model_copy(update={"cron": "0 3 * * *"}))


def test_a_change_keeps_the_history(client: SyncPrefectClient, nightly: str) -> None:
    before, run, store = (
        schedule.find(client, nightly).id,
        due(client, 1),
        {"MODELYARD_HOME": str(Home.current().root)},
    )
    client.update_deployment(before, DeploymentUpdate(job_variables={"env": {"MODELYARD_DATA": "/data"}}))
    new, mark = schedule.changed(nightly, {"preset": "smoke"}, 30), StoreMark(id="a1", host="here")
    schedule.change(new.model_copy(update={"timezone": "Asia/Tokyo", "environment": store, "store": mark}))
    schedule.change(schedule.changed(nightly, {}, 300).model_copy(update={"cron": "0 3 * * *"}))
    found = schedule.find(client, nightly)
    told = Words(dataset="digits", preset="smoke", assignments=("data.labels=300",))
    assert (found.id, Words.model_validate(found.parameters["request"])) == (before, told)
    assert StoreMark.model_validate(found.parameters["store"]) == mark, "whose it is, is no word"
    assert found.job_variables == {"env": {"MODELYARD_DATA": "/data", **store}}
    assert found.schedules[0].schedule == CronSchedule(cron="0 3 * * *", timezone="Asia/Tokyo")
    (row,) = outlook.history(nightly, 20, is_served=False)
    assert (row["run"], str(row["due"].tzinfo)) == (run.name, "Asia/Tokyo")
    assert "modelyard up" in row["why"], "a late run says why it is late"
    edited = DeploymentUpdate(
        parameters={"request": {"preset": 7, "more": 1}}, job_variables={"env": "garbage", "command": "id"}
    )
    client.update_deployment(before, edited)
    with pytest.raises(
        ConfigError, match=r"were edited in Prefect .*dataset: Field required.*preset.*; tell these anew"
    ):
        schedule.changed(nightly, {})
    schedule.change(
        schedule.changed(nightly, {"dataset": "digits", "preset": "smoke"}).model_copy(
            update={"environment": store}
        )
    )
    assert schedule.find(client, nightly).job_variables == {"env": store}


@pytest.mark.usefixtures("client")
def test_a_server_that_is_down_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    with (
        pytest.raises(StoreError, match=r"server at http://prefect.example/api .*refused"),
        cli_schedule._prefect(),
    ):
        raise httpx.ConnectError("refused")


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
    "a scheduled run is killed, and Prefect's worker sees it first",
    how="a Crashed run of a process that is gone",
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
        assert client.read_flow_run(run.id).state_name == (
            "AwaitingRetry" if attempt < MAX_ATTEMPTS else "Crashed"
        )
        assert reconcile(put_back=True) == []
    assert not any(tag.startswith(PUT_BACK) for tag in client.read_flow_run(run.id).tags)


@pytest.mark.usefixtures("nightly")
def test_a_second_report_of_the_same_end_does_not_undo_the_retry(client: SyncPrefectClient) -> None:
    """Prefect's worker reports an exit twice, seconds apart; the second one comes when the run
    waits already.
    """
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
    "Prefect's server is killed under a scheduled run",
    how="a Failed run with the error that Prefect's client raises",
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
        client.set_flow_run_state(
            number, Failed(message=f"Flow run encountered an exception: {message}"), force=True
        )
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


@pytest.mark.fault(
    "a store with schedules is moved", how="a schedule of a store that was elsewhere, on a real server"
)
def test_the_schedules_of_a_moved_store_run_where_it_is_now(client: SyncPrefectClient) -> None:
    moved = Home(PREFECT_HOME.value().parent)
    stores = {"ours": "/was/here", "theirs": "/was/here-too"}
    for name, store in stores.items():
        told = {"MODELYARD_HOME": store, "MODELYARD_DATA": "/was/here/data"}
        request = Words(dataset="digits")
        schedule.add(
            NewSchedule(name=name, cron="0 2 * * *", timezone="UTC", request=request, environment=told)
        )
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
    assert (
        httpx.get(f"{api}/admin/settings", auth=opened, headers={"Host": "evil.example"}).status_code == 421
    )
    assert httpx.options(f"{api}/flows/", headers=other).status_code == 403


def test_prefects_file_holds_deployments_that_load() -> None:
    whole = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())
    (deployment,) = whole["deployments"]
    assert whole["pull"] == []
    assert deployment["entrypoint"] == ENTRYPOINT
    assert load_flow_from_entrypoint(deployment["entrypoint"]).name == "refresh"
    assert Words.model_validate(deployment["parameters"]["request"]).dataset == "auto"
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
    monkeypatch.setattr(cli_schedule, "_tell", lambda *_: None)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert modelyard("schedule", "add", "compare", "--cron", "0 2 * * *", "-d", "images", *words) == 0
    assert (added[0].name, added[0].request.name, added[0].request.dataset) == (
        "images",
        model,
        str(store / "images"),
    )
    assert compare_request(added[0].request).name == model
    assert (
        modelyard(
            "schedule", "add", "compare", "--cron", "0 2 * * *", "-d", "images", "--model-name", "No Name"
        )
        == 2
    )


def test_a_folder_that_is_called_as_a_named_set_does_not_take_its_place(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_folder(store / "digits", {"a": 9, "b": 9})
    monkeypatch.chdir(store)
    added: list[NewSchedule] = []
    monkeypatch.setattr(schedule, "add", added.append)
    monkeypatch.setattr(cli_schedule, "_prefect", nullcontext)
    monkeypatch.setattr(cli_schedule, "_tell", lambda *_: None)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert (
        modelyard("schedule", "add", "compare", "--cron", "0 2 * * *", "-d", "digits", "--labels", "300") == 0
    )
    assert (added[0].request.dataset, added[0].request.assignments) == ("digits", ("data.labels=300",))


@pytest.mark.parametrize("url", [None, "http://prefect.example/api"])
@pytest.mark.parametrize("pool", ["modelyard", "k8s"])
def test_nothing_of_this_machine_goes_into_another_ones_pool(
    store: Path, monkeypatch: pytest.MonkeyPatch, pool: str, url: str | None
) -> None:
    image_folder(store / "images", {"a": 9, "b": 9})
    monkeypatch.chdir(store)
    monkeypatch.setenv("MODELYARD_DATA", "data")
    monkeypatch.delenv("MODELYARD_CACHE")
    monkeypatch.setenv("PREFECT_API_URL", url) if url else monkeypatch.delenv(
        "PREFECT_API_URL", raising=False
    )

    def new(dataset: str, *architectures: str) -> NewSchedule:
        request = Words(dataset=dataset, architectures=architectures)
        asked = NewSchedule(name="x", cron="@daily", timezone="UTC", pool=pool, request=request)
        return placed(asked, own_server=is_own(Home.current()))

    assert (new("digits").store is None) == (
        url is not None
    )  # bound to the store whose server it is on, and to no other
    if pool == "modelyard" and url is None:
        assert new("images").environment == {
            "MODELYARD_DATA": str(store / "data"),
            "MODELYARD_HOME": str(Home.current().root),
        }
        return
    assert new("digits").environment == {}
    assert new("/mnt/images", "/mnt/own.py:Net").request.architectures == ("/mnt/own.py:Net",)
    for words in (["images"], ["./images"], ["digits", "own.py:Net"]):
        with pytest.raises(
            ConfigError, match=r"not this machine: expected a name .* or the absolute path that it has there"
        ):
            new(*words)


def test_what_a_schedule_brings_is_found_from_anywhere(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def new(pool: str, *assignments: str) -> tuple[str, ...]:
        request = Words(dataset="digits", architectures=("rnn",), assignments=assignments)
        asked = NewSchedule(name="x", cron="@daily", timezone="UTC", pool=pool, request=request)
        return placed(asked, own_server=True).request.assignments

    monkeypatch.chdir(store)
    image_folder(store / "more", {"a": 9})
    (store / "teacher").mkdir()
    (store / "rnn.pth").touch()
    there = [f'init="{store}/rnn.pth"', f'data.unlabelled="{store}/more"']
    taught = f'distil.teacher=["{store}/teacher", "digits@champion"]'
    assert new("modelyard", "init=rnn.pth", " data.unlabelled = ./more", "training.epochs=3") == (
        *there, "training.epochs=3",
    )  # fmt: skip
    told = new("modelyard", 'distil.teacher=["teacher", "digits@champion"]', "data.unlabelled=mnist")
    assert told == (taught, 'data.unlabelled="mnist"')
    assert new("modelyard", *there) == tuple(there)
    assert new("k8s", "init=/mnt/rnn.pth") == ("init=/mnt/rnn.pth",)
    for word in ("init=rnn.pth", "data.unlabelled=./more", 'distil.teacher=["teacher"]'):
        with pytest.raises(ConfigError, match=r"not this machine: expected a name .* or the absolute path"):
            new("k8s", word)


def test_a_sweep_hands_its_models_name_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[CompareRequest] = []

    def prepared_builds(wanted: CompareRequest) -> list[BuildRequest]:
        asked.append(wanted)
        return []

    monkeypatch.setattr(sweep, "prepared_builds", prepared_builds)
    sweep._builds(SweepRequest(name="mine", dataset="digits", architectures=("rnn",), model_name="pets"), 1)
    assert asked[0].name == "pets"
