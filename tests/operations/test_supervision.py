"""What the supervisor is told, and how its absence is told."""

from __future__ import annotations

import configparser
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from modelyard.errors import ConfigError, StoreError
from modelyard.home import Home
from modelyard.identity import identity
from modelyard.operations import supervision
from modelyard.operations.parts import NAMES, PORTS, make_parts
from modelyard.operations.state import UpState, read_state, running_state, write_state


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "100% mine")


def free_ports() -> dict[str, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as a,
        socket.create_server(("127.0.0.1", 0)) as b,
        socket.create_server(("127.0.0.1", 0)) as c,
    ):
        return dict(zip(PORTS, (held.getsockname()[1] for held in (a, b, c)), strict=True))


def test_every_part_is_bound_to_the_supervisor_and_started_again(home: Home) -> None:
    text = supervision._configuration(home, make_parts(home, free_ports()), Path("/tmp/socket"))
    parsed = configparser.ConfigParser()
    parsed.read_string(text)
    for name in NAMES:
        section = parsed[f"program:{name}"]
        assert "modelyard.operations.bound SIGKILL" in section["command"]
        assert section["autorestart"] == section["killasgroup"] == "true"
        assert section["stdout_logfile"] == f"{home.logs}/{name}.log"  # the percent sign survives
    assert str(home.database) in parsed["program:mlflow"]["environment"]


def test_a_taken_port_names_the_option_and_an_unknown_part_the_parts(home: Home) -> None:
    ports = free_ports()
    with (
        socket.create_server(("127.0.0.1", ports["mlflow"])),
        pytest.raises(ConfigError, match=r"choose another --mlflow-port"),
    ):
        make_parts(home, ports)
    with pytest.raises(ConfigError, match="unknown part 'mlfow': expected prefect, mlflow, worker, serve"):
        make_parts(home, ports, ("mlfow",))


def test_the_socket_of_a_deep_store_is_elsewhere(tmp_path: Path) -> None:
    deep = Home(tmp_path / ("x" * 120))
    assert len(os.fsencode(supervision._socket_path(deep))) <= supervision.MAX_SOCKET_PATH
    assert supervision._socket_path(deep) != supervision._socket_path(Home(tmp_path / ("y" * 120)))


def test_what_ran_is_told_from_what_runs(home: Home) -> None:
    assert (running_state(home), supervision.rows(home), supervision.stop(home)) == (None, [], False)
    with pytest.raises(ConfigError, match="nothing runs; start it with: modelyard up"):
        supervision.restart(home, "worker")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    state = UpState(process=identity(process.pid), socket="/nowhere", addresses={})
    write_state(home, state)
    assert running_state(home) == state
    with pytest.raises(ConfigError, match=r"runs already on .*; see modelyard status, or end it with modelyard down"):
        supervision.refuse_second(home)
    with pytest.raises(StoreError, match="the supervisor does not answer"):
        supervision.rows(home)
    process.kill()
    process.communicate()
    assert running_state(home) is None
    with pytest.raises(StoreError, match="was killed and its parts ended with it; start it with: modelyard up"):
        supervision.rows(home)
    assert not supervision.stop(home)
    assert read_state(home) is None


def test_a_part_that_is_slow_is_not_told_to_be_starting(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "PATIENCE", 0.2)
    info = {"name": "mlflow", "statename": "RUNNING"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert supervision._state(home, info, address) == "no answer in 0.2 s"
    assert supervision._state(home, info, address) == "starting"


def test_damaged_state_is_none(home: Home) -> None:
    home.state.mkdir(parents=True)
    (home.state / "up.json").write_text('{"process": ')
    assert read_state(home) is None


@pytest.mark.fault("a parent of many processes is killed", how="SIGKILL of the parent alone")
def test_a_bound_process_ends_with_its_parent() -> None:
    sleeper = [sys.executable, "-m", "modelyard.operations.bound", "SIGKILL", "sleep", "60"]
    code = f"import subprocess; print(subprocess.Popen({sleeper!r}).pid, flush=True); input()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    deadline = time.monotonic() + 10
    while child.cmdline()[:1] != ["sleep"] and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    gone, _ = psutil.wait_procs([child], timeout=5)
    assert gone == [child]
