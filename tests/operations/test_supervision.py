"""What the supervisor is told, and how its absence is told."""

from __future__ import annotations

import configparser
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from supervisor.options import ServerOptions

from flows.ephemeral import own_address, server_for
from modelyard.errors import ConfigError, StoreError
from modelyard.files import make_folder
from modelyard.home import Home
from modelyard.machine.identity import identity
from modelyard.operations import sign_in, status, supervision, supervisord
from modelyard.operations.parts import NAMES, bind, hold, make_parts
from modelyard.operations.sign_in import auth_file, make_auth
from modelyard.operations.state import UpState, read_state, remove_state, running_state, write_state
from modelyard.operations.status import part_state, part_statuses
from modelyard.operations.work_pool import worker_state


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "100% mine")


def free_ports() -> dict[str, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as a,
        socket.create_server(("127.0.0.1", 0)) as b,
        socket.create_server(("127.0.0.1", 0)) as c,
    ):
        return dict(
            zip(("prefect", "mlflow", "serve"), (held.getsockname()[1] for held in (a, b, c)), strict=True)
        )


def test_every_part_is_bound_to_the_supervisor_and_started_again(home: Home) -> None:
    text = supervisord.configuration(home, make_parts(home, free_ports()), Path("/tmp/socket"))
    parsed = configparser.ConfigParser()
    parsed.read_string(text)
    for name in NAMES:
        section = parsed[f"program:{name}"]
        assert "modelyard.machine.bound SIGKILL" in section["command"]
        assert section["autorestart"] == section["killasgroup"] == "true"
    assert str(home.database) in parsed["program:mlflow"]["environment"]


def test_supervisord_takes_a_store_of_any_name(home: Home) -> None:
    file, options = make_folder(home.logs).with_name("supervisord.conf"), ServerOptions()
    make_folder(home.state)
    file.write_text(supervisord.configuration(home, make_parts(home, free_ports()), home.state / "up.sock"))
    options.realize(["--configuration", str(file)])
    logs = {group.name: group.process_configs[0].stdout_logfile for group in options.process_group_configs}
    assert logs == {name: f"{home.logs}/{name}.log" for name in NAMES}


def test_a_taken_port_names_the_option_and_an_unknown_part_the_parts(home: Home) -> None:
    ports = free_ports()
    with (
        socket.create_server(("127.0.0.1", ports["mlflow"])),
        pytest.raises(ConfigError, match=r"choose another --mlflow-port"),
    ):
        make_parts(home, ports)
    with pytest.raises(ConfigError, match="unknown part 'mlfow': expected prefect, mlflow, worker, serve"):
        make_parts(home, ports, ("mlfow",))
    with pytest.raises(ConfigError, match="--allowed-host 'http://a': expected a name"):
        make_parts(home, ports, hosts=["a.example", "http://a"])


def test_names_are_allowed_as_browsers_write_them(home: Home) -> None:
    (mlflow,) = make_parts(home, free_ports(), ("mlflow",), hosts=["MLOps.Example.org."])
    assert mlflow.environment["MLFLOW_SERVER_ALLOWED_HOSTS"].endswith(
        ",mlops.example.org,mlops.example.org:*"
    )
    assert "https://mlops.example.org," in mlflow.environment["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]


@pytest.mark.parametrize("runtime", [True, False])
def test_the_socket_of_a_deep_store_is_in_a_new_folder_of_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: bool
) -> None:
    """L19: another user could take a path that he can foresee."""
    deep, base = Home(tmp_path / ("x" * 120)), Path(tempfile.mkdtemp())
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base) if runtime else str(base / "gone"))
    first, second = supervisord.socket_path(deep), supervisord.socket_path(deep)
    assert first != second and first.is_relative_to(base)
    assert first.parent.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(first)) <= supervisord.MAX_SOCKET_PATH
    for path in (first, second):
        write_state(deep, UpState(process="", socket=str(path), addresses={}))
        remove_state(deep)
    assert not any(base.iterdir())
    base.rmdir()


def test_nobody_serves_in_a_parts_place(home: Home) -> None:
    """C1: who did would be sent the string of Prefect's API."""
    (part, *_) = make_parts(home, free_ports(), ("prefect",))
    assert part.port is not None
    with hold(part), bind("prefect", part.port, socket.SO_REUSEADDR, socket.SO_REUSEPORT) as listener:
        listener.listen()
        listener.close()
        for options in ((), (socket.SO_REUSEADDR,)):
            with pytest.raises(ConfigError, match="choose another --prefect-port"):
                bind("prefect", part.port, *options)
    bind("prefect", part.port).close()


def test_a_worker_without_a_server_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would ask whoever serves at Prefect's usual port."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(ConfigError, match="the worker needs a Prefect server"):
        make_parts(home, free_ports(), ("mlflow", "worker"))
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.org/api")
    assert make_parts(home, free_ports(), ("worker",))[0].environment == {}


def test_one_string_is_made_and_made_anew_when_it_is_of_no_use(home: Home) -> None:
    file = auth_file(home)
    with ThreadPoolExecutor(8) as pool:
        (made,) = set(pool.map(make_auth, [home] * 8))
    assert make_auth(home) == made == file.read_text() and file.stat().st_mode & 0o777 == 0o600
    spoils: list[Callable[[], object]] = [
        file.unlink,
        lambda: file.write_text("modelyard:abc"),
        lambda: file.chmod(0o644),
        lambda: file.write_bytes(b"\xff"),
    ]
    for spoil in spoils:
        spoil()
        before, made = made, make_auth(home)
        assert made not in ("", before) and made == file.read_text() and file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    os.mkfifo(file, 0o600)
    assert make_auth(home) == file.read_text()


def test_a_file_system_without_modes_keeps_no_string(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """There `up` would make it anew, and start its parts again, for ever."""
    monkeypatch.setattr(sign_in, "read_private", lambda path: "")
    with pytest.raises(StoreError, match="keeps no modes, so others could read it; move the store"):
        supervision.start(home, make_parts(home, free_ports(), ("prefect",)), detach=True)
    assert running_state(home) is None


def test_the_string_goes_to_our_own_server_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """C1: not to a server that PREFECT_API_URL names, nor to whoever serves where an `up` that ended did."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    addresses = {"prefect": "http://127.0.0.1:4200"}
    write_state(home, UpState(process=identity(os.getpid()), socket="", addresses=addresses))
    assert own_address(home) == addresses["prefect"]
    with server_for(home) as server:
        assert server is not None
        assert (os.environ["PREFECT_API_URL"], os.environ["PREFECT_API_AUTH_STRING"]) == (
            f"{server.address}/api",
            server.auth,
        )
    assert not {"PREFECT_API_URL", "PREFECT_API_AUTH_STRING"} & set(os.environ)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4201/api")
    with server_for(home) as server:
        assert server is None and "PREFECT_API_AUTH_STRING" not in os.environ
    monkeypatch.delenv("PREFECT_API_URL")
    write_state(home, UpState(process=f"{identity(os.getpid())}9", socket="", addresses=addresses))
    assert own_address(home) is None


def test_what_ran_is_told_from_what_runs(home: Home) -> None:
    assert (running_state(home), part_statuses(home), supervision.stop(home)) == (None, [], False)
    with pytest.raises(ConfigError, match="nothing runs; start it with: modelyard up"):
        supervision.restart(home, "worker")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    state = UpState(process=identity(process.pid), socket="/nowhere", addresses={})
    write_state(home, state)
    assert running_state(home) == state
    with pytest.raises(
        ConfigError, match=r"runs already on .*; see modelyard status, or end it with modelyard down"
    ):
        supervision.refuse_second(home)
    with pytest.raises(StoreError, match="the supervisor does not answer"):
        part_statuses(home)
    process.kill()
    process.communicate()
    assert running_state(home) is None
    with pytest.raises(
        StoreError, match="was killed and its parts ended with it; start it with: modelyard up"
    ):
        part_statuses(home)
    assert not supervision.stop(home)
    assert read_state(home) is None


def test_a_part_that_is_slow_is_not_told_to_be_starting(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "PATIENCE", 0.2)
    info = {"name": "mlflow", "statename": "RUNNING"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert part_state(home, info, address) == "no answer in 0.2 s"
    assert part_state(home, info, address) == "starting"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(b'{"is_paused": true}', "waiting: its work pool is paused; "
"modelyard schedule"), (b'{"is_paused": false}', "running"),
     (b"nonsense", "running"), (b"[]", "running"), (None, "running")],
)  # fmt: skip
def test_a_paused_pool_is_said_at_the_worker(home: Home, answer: bytes | None, expected: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/api/work_pools/modelyard"
            assert self.headers["Authorization"].startswith("Basic ")
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + (answer or b""))

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.handle_request, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert worker_state(home, address).startswith(expected)
    assert worker_state(home, None) == "running"


def test_damaged_state_is_none(home: Home) -> None:
    home.state.mkdir(parents=True)
    (home.state / "up.json").write_text('{"process": ')
    assert read_state(home) is None
