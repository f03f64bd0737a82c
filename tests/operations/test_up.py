"""`modelyard up` as a whole: every part killed once, the supervisor last; nothing is left over."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from modelyard.alerts.record import read_record
from modelyard.cli.pages import ui
from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.operations.parts import NAMES
from modelyard.operations.sign_in import SignIn, auth_file, make_auth
from modelyard.operations.state import running_state
from modelyard.operations.status import part_statuses
from tests.blank import Templates
from tests.operations.test_supervision import free_ports

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Path:
    folder = tmp_path_factory.mktemp("up")
    templates.store(folder / "runs", prefect=True)
    return folder


@pytest.fixture
def home(folder: Path) -> Home:
    return Home(folder / "runs")


@pytest.fixture(scope="module")
def command(folder: Path) -> Iterator[Command]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "MODELYARD_"))
    }
    environment = kept | {"MODELYARD_HOME": str(folder / "runs"), "MODELYARD_CACHE": str(folder / "cache")}
    environment["PREFECT_WORKER_QUERY_SECONDS"] = "1"  # instead of 10: the worker's look for what is due

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "modelyard", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    yield run
    run("down")


def is_ready(row: dict[str, Any]) -> bool:
    return row["state"] in {"ready", "running", "waiting for a first release"}


def rows(home: Home) -> dict[str, Any]:
    return {part.name: part.as_row() for part in part_statuses(home)}


@pytest.fixture(scope="module")
def ports() -> list[str]:
    return [word for name, port in free_ports().items() for word in (f"--{name}-port", str(port))]


@pytest.fixture(scope="module")
def up(command: Command, ports: list[str]) -> str:
    started = command("up", "--detach", "--allowed-host", "mlops.example.org", *ports)
    assert started.returncode == 0, started.stderr
    return started.stdout


def test_every_part_gets_ready(up: str, command: Command, ports: list[str]) -> None:
    found = {row["part"]: row for row in json.loads(command("status", "--json").stdout)}
    assert set(found) == set(NAMES)
    assert found["serve"]["state"] == "waiting for a first release"
    assert {found[name]["state"] for name in ("prefect", "mlflow")} == {"ready"}
    assert "modelyard status" in up
    held = Path(f"/proc/{psutil.Process(found['prefect']['pid']).ppid()}/fd/0")
    assert str(held.readlink()).startswith("socket:")  # C1: the supervisor keeps Prefect's port
    second = command("up", "--detach", *ports)
    assert second.returncode == 2
    assert "runs already" in second.stderr and second.stderr.count("\n") == 1


@pytest.mark.usefixtures("up")
def test_the_pages_of_a_running_up_are_shown(command: Command) -> None:
    shown = command("ui")
    assert shown.returncode == 0, shown.stderr
    assert "runs: http://127.0.0.1:" in shown.stdout
    assert re.search(r"flows: http://127.0.0.1:\d+/sign-in#\S+ \(signs a browser in, once", shown.stdout)


@pytest.mark.usefixtures("up")
def test_the_pages_answer_for_a_name_that_was_given_and_no_other(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 16: behind a proxy that passes Host on. What begins as a private address is a name that can be
    bought.
    """
    search, flows = "/ajax-api/2.0/mlflow/experiments/search", "/api/flows/filter"
    found = rows(home)
    for part, path, refused in (("mlflow", search, 403), ("prefect", flows, 421)):
        with httpx.Client(base_url=found[part]["address"], timeout=60) as client:
            if part == "prefect":
                client.auth = tuple(make_auth(home).split(":"))  # type: ignore[assignment]
            told: dict[str, Any] = {"max_results": 1} if part == "mlflow" else {}
            for host in ("mlops.example.org", "mlops.example.org:8443", "localhost"):
                for scheme in ("http", "https"):
                    headers = {"Host": host, "Origin": f"{scheme}://{host}"}
                    assert client.post(path, json=told, headers=headers).status_code == 200, (part, headers)
            for host in ("evil.example", "10.evil.example", "mlops.example.org.evil.example"):
                assert client.post(path, json=told, headers={"Host": host}).status_code == refused, (
                    part,
                    host,
                )
            other = {"Host": "mlops.example.org", "Origin": "https://evil.example"}
            assert client.post(path, json=told, headers=other).status_code == 403
    assert "mlops.example.org" in Path(f"/proc/{found['serve']['pid']}/cmdline").read_text()
    monkeypatch.setenv("MODELYARD_HOME", str(home.root))
    with pytest.raises(ConfigError, match="give --allowed-host to modelyard up"):
        ui(allowed_host=["late.example"])


@pytest.fixture
def api(up: str, home: Home) -> Iterator[httpx.Client]:
    """Prefect's API as its owner reaches it."""
    user, _, password = make_auth(home).partition(":")
    address = rows(home)["prefect"]["address"]
    with httpx.Client(base_url=f"{address}/api", auth=(user, password), timeout=60) as client:
        yield client


def made(api: httpx.Client, path: str, told: dict[str, Any]) -> str:
    """The number of what is made there; SQLite is busy now and then, and the pool is made when the worker
    starts.
    """
    deadline = time.monotonic() + 60
    while (answer := api.post(path, json=told)).status_code in (404, 503) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert answer.is_success, answer.text
    return str(answer.json()["id"])


def started(api: httpx.Client, name: str, **more: Any) -> str:
    """A run of a deployment of `refresh`, as one who has the string could make it."""
    usual = {
        "entrypoint": "flows.refresh.refresh",
        "work_pool_name": "modelyard",
        "enforce_parameter_schema": False,
    }
    told = {"name": name, "parameters": {"request": {"dataset": "digits"}}} | usual | more
    number = made(api, "/deployments/", told | {"flow_id": made(api, "/flows/", {"name": "refresh"})})
    return made(api, f"/deployments/{number}/create_flow_run", {"state": {"type": "SCHEDULED"}})


def test_another_origin_cannot_plan_a_command_and_nobody_runs_one(
    api: httpx.Client, tmp_path: Path, home: Home
) -> None:
    """C1, as it was done: preflight, flow, deployment with a command, run. And what the worker makes of it
    for the owner.
    """
    marker = tmp_path / "marker"
    command = f"sh -c 'id > {marker}'"
    page, bare = {"Origin": "http://evil.example"}, str(api.base_url).rstrip("/")
    for way in (page, {"Host": "evil.example", "Origin": "http://evil.example"}, {}):
        assert httpx.post(f"{bare}/flows/", json={"name": "refresh"}, headers=way).status_code in (
            401,
            403,
            421,
        )
        assert httpx.get(f"{bare}/admin/settings", headers=way).status_code in (401, 403, 421)
    asked = page | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert "access-control-allow-origin" not in httpx.options(f"{bare}/flows/", headers=asked).headers
    step = {"prefect.deployments.steps.run_shell_script": {"script": command}}
    hostile: dict[str, dict[str, Any]] = {
        "command": {"job_variables": {"command": command}}, "pull": {"pull_steps": [step]},
    }  # fmt: skip
    ended = [until_over(api, run) for run in [started(api, name, **more) for name, more in hostile.items()]]
    assert [state["type"] for state in ended] == ["FAILED"] * 2
    assert all(state["message"].startswith("not started: ") for state in ended)
    assert not marker.exists()
    assert sum("not started: " in entry["title"] for entry in read_record(home)) == 2


def until_over(api: httpx.Client, run: str) -> dict[str, Any]:
    """Its last state."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        state: dict[str, Any] = api.get(f"/flow_runs/{run}").json()["state"]
        if state["type"] in ("FAILED", "CRASHED", "COMPLETED", "CANCELLED"):
            break
        time.sleep(0.5)
    return state


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        made = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP evil.example 127.0.0.1"],
        )
        yield made
        made.close()


ATTACK = """async bases => {
  const told = [];
  for (const base of bases) for (const kind of ["application/json", "text/plain"])
  for (const path of ["deployments", "flows"])
    told.push(await fetch(
      `${base}/api/${path}/`, {method: "POST", headers: {"Content-Type": kind}, body: '{"name": "evil"}'})
      .then(answer => answer.status, () => "blocked"));
  for (const base of bases)
    told.push(await fetch(`${base}/api/admin/settings`).then(answer => answer.status, () => "blocked"));
  return told;
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; apt-get install chromium")
def test_in_a_browser_the_owner_is_signed_in_and_no_other_page_gets_in(
    browser: Browser, api: httpx.Client, home: Home
) -> None:
    """C1: a page of another port of this machine, and one under a name that resolves to it."""
    state = running_state(home)
    assert state is not None
    link = SignIn(make_auth(home), state.process).link(state.addresses["prefect"])
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.wait_for_url("**/runs*", timeout=60_000)
    expect(page.get_by_text("Unauthorized")).to_have_count(0)
    assert (
        page.evaluate("fetch('/api/admin/settings').then(answer => answer.status)") == 401
    )  # no cookie does it
    kept = page.evaluate("JSON.stringify([localStorage, location.href, history.length])")
    assert make_auth(home) not in kept and "#" not in kept
    signed_in = (
        "fetch('/api/admin/settings', {headers: {Authorization: 'Basic ' + "
        "localStorage['prefect-password']}})"
    )
    assert page.evaluate(f"{signed_in}.then(answer => answer.status)") == 200
    other = context.new_page()
    other.goto(link)
    expect(other.get_by_text("This link was used or is too old")).to_be_visible()

    before = [found["name"] for found in api.post("/flows/filter", json={}).json()]
    address = str(api.base_url).removesuffix("/api/")
    named = address.replace("127.0.0.1", "evil.example")
    with foreign_page() as foreign:
        other.goto(foreign)
        assert set(other.evaluate(ATTACK, [address, address.replace("127.0.0.1", "localhost"), named])) == {
            "blocked"
        }
    answer = other.goto(f"{named}/runs")
    assert answer is not None and answer.status == 421
    assert set(other.evaluate(ATTACK, [named])) == {421}
    assert [found["name"] for found in api.post("/flows/filter", json={}).json()] == before
    context.close()


@contextmanager
def foreign_page() -> Iterator[str]:
    """What another user of this machine may serve."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.fault(
    "the string of Prefect's API is lost, or was readable", how="its file truncated below a running `up`"
)
def test_a_spoilt_string_is_made_anew_and_everything_works_again(
    command: Command, api: httpx.Client, home: Home
) -> None:
    """C1: and the old one opens nothing. It is in no file but its own, and in no command line."""
    old, before = make_auth(home), rows(home)
    auth_file(home).write_text(old[:20])
    new, deadline = make_auth(home), time.monotonic() + 120
    opened = ("modelyard", new.partition(":")[2])
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            now = rows(home)
            is_anew = all(now[name]["pid"] not in (0, before[name]["pid"]) for name in ("prefect", "worker"))
            if is_anew and api.get("/admin/version", auth=opened).is_success:
                break
        time.sleep(0.2)
    assert is_anew and new != old and api.get("/admin/settings").status_code == 401
    for secret in (old, new):
        holders = [
            path for path in home.root.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
        ]
        assert holders == ([auth_file(home)] if secret == new else [])
        assert not any(
            secret in " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
        )
    shell = f"{command('env').stdout}\necho $PREFECT_API_AUTH_STRING"
    assert subprocess.check_output(["sh", "-c", shell], text=True).strip() == new


@pytest.mark.fault("a part of `modelyard up` is killed", how="SIGKILL of worker and model server")
@pytest.mark.usefixtures("up")
def test_a_killed_part_is_started_again(home: Home) -> None:
    before = rows(home)
    for name in ("worker", "serve"):
        psutil.Process(before[name]["pid"]).kill()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        now = rows(home)
        if all(
            now[name]["pid"] != before[name]["pid"] and is_ready(now[name]) for name in ("worker", "serve")
        ):
            break
        time.sleep(0.2)
    assert now["prefect"]["pid"] == before["prefect"]["pid"]
    assert all(now[name]["pid"] not in (0, before[name]["pid"]) for name in ("worker", "serve"))


@pytest.mark.fault("the supervisor of `modelyard up` is killed", how="SIGKILL of the supervisor alone")
@pytest.mark.usefixtures("up")
def test_nothing_outlives_a_killed_supervisor(command: Command, home: Home) -> None:
    parts = [psutil.Process(row["pid"]) for row in rows(home).values() if row["pid"]]
    family = [process for part in parts for process in (part, *part.children(recursive=True))]
    supervisor = parts[0].parent()
    assert supervisor is not None
    supervisor.kill()
    assert psutil.wait_procs(family, timeout=20)[1] == []
    told = command("status")
    assert told.returncode == 2
    assert "was killed and its parts ended with it; start it with: modelyard up" in told.stderr
    assert command("down").stdout == "nothing runs\n"
    assert command("status").stdout == "nothing runs; start it with: modelyard up\n"
