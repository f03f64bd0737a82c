"""`modelyard up` as a whole: every part killed once, the supervisor last; nothing is left over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from modelyard.operations.parts import NAMES
from tests.blank import Templates
from tests.operations.test_supervision import free_ports

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("up")
    templates.store(folder / "runs", prefect=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "MODELYARD_"))}
    environment = kept | {"MODELYARD_HOME": str(folder / "runs"), "MODELYARD_CACHE": str(folder / "cache")}

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


def rows(command: Command) -> dict[str, Any]:
    return {row["part"]: row for row in json.loads(command("status", "--json").stdout)}


@pytest.fixture(scope="module")
def ports() -> list[str]:
    return [word for name, port in free_ports().items() for word in (f"--{name}-port", str(port))]


@pytest.fixture(scope="module")
def up(command: Command, ports: list[str]) -> str:
    started = command("up", "--detach", *ports)
    assert started.returncode == 0, started.stderr
    return started.stdout


def test_every_part_gets_ready(up: str, command: Command, ports: list[str]) -> None:
    found = rows(command)
    assert set(found) == set(NAMES)
    assert found["serve"]["state"] == "waiting for a first release"
    assert {found[name]["state"] for name in ("prefect", "mlflow")} == {"ready"}
    assert "modelyard status" in up
    second = command("up", "--detach", *ports)
    assert second.returncode == 2
    assert "runs already" in second.stderr and second.stderr.count("\n") == 1


@pytest.mark.usefixtures("up")
def test_the_pages_of_a_running_up_are_shown(command: Command) -> None:
    shown = command("ui")
    assert shown.returncode == 0, shown.stderr
    assert "runs: http://127.0.0.1:" in shown.stdout and "flows: http://127.0.0.1:" in shown.stdout


@pytest.mark.fault("a part of `modelyard up` is killed", how="SIGKILL of worker and model server")
@pytest.mark.usefixtures("up")
def test_a_killed_part_is_started_again(command: Command) -> None:
    before = rows(command)
    for name in ("worker", "serve"):
        psutil.Process(before[name]["pid"]).kill()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        now = rows(command)
        if all(now[name]["pid"] not in (0, before[name]["pid"]) for name in ("worker", "serve")):
            break
        time.sleep(0.2)
    assert now["prefect"]["pid"] == before["prefect"]["pid"]
    assert all(now[name]["pid"] not in (0, before[name]["pid"]) for name in ("worker", "serve"))


@pytest.mark.fault("the supervisor of `modelyard up` is killed", how="SIGKILL of the supervisor alone")
@pytest.mark.usefixtures("up")
def test_nothing_outlives_a_killed_supervisor(command: Command) -> None:
    parts = [psutil.Process(row["pid"]) for row in rows(command).values() if row["pid"]]
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
