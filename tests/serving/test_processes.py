"""Processes of the model server: messages, hung and killed workers, descriptors, places. Nothing but a signal
ends it.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from modelyard.errors import ConfigError
from modelyard.serving.__main__ import LIMITS, read_options
from modelyard.serving.http.places import Places, Shared, peer_of
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes import metrics
from modelyard.serving.processes.channel import Channel
from modelyard.serving.processes.crew import Child, Crew
from tests.serving.bundles import Linear, point, release
from tests.serving.conftest import Serve, Server
from tests.serving.test_supervisor import INFER, question

PIDFD_GETFD = 438
LIVE = "/v2/health/live"
ASK = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A release folder of its own with version 1 as champion."""
    release(tmp_path / "releases", 1, Linear.seeded(1), "champion")
    return tmp_path / "releases"


def talkative(folder: Path) -> None:
    """A bundle that is refused with a text longer than any message between processes."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(
        json.dumps(manifest | {f"unknown{i}" + "\x01" * 40: 0 for i in range(1500)})
    )


@contextmanager
def channels(pid: int, supervisor: int) -> Iterator[list[socket.socket]]:
    """The process's ends of what supervisor and workers talk over: to speak in its name."""
    with ExitStack() as stack:
        handle = os.pidfd_open(pid)
        stack.callback(os.close, handle)
        found = []
        for path in Path(f"/proc/{pid}/fd").iterdir():
            descriptor = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, handle, int(path.name), 0)
            if descriptor < 0 and ctypes.get_errno() == 1:
                pytest.skip("this system gives no descriptors of other processes")
            try:
                end = stack.enter_context(socket.socket(fileno=descriptor))
            except OSError:
                os.close(descriptor)
                continue
            made_by, *_ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if end.type == socket.SOCK_SEQPACKET and made_by == supervisor:  # a worker has others of its own
                found.append(end)
        yield found


@pytest.mark.fault(
    "names that no message can hold", how="POST of long and escaped paths to load and unload (H1)"
)
def test_no_name_ends_the_server(home: Path, serve: Serve) -> None:
    talkative(release(home, 2, Linear.seeded(2), "rnn"))
    server = serve(home, "--workers", "1", "--allow-load")
    workers = server.workers()
    paths = (
        "%01" * 11000 + "/unload",
        "a" * 65460 + "/load",
        "%7f" * 13000 + "/load",
        "%01" * 3000 + "/load",
        "nobody/unload",
    )
    for path in paths:
        assert 400 <= server.client.post(f"/v2/repository/models/{path}").status_code < 500
    refused = server.client.post("/v2/repository/models/fruit-rnn/load")
    assert refused.status_code == 400 and "unknown0" in refused.json()["error"]
    assert server.workers() == workers and server.client.get(LIVE).status_code == 200


@pytest.mark.fault(
    "the only release is refused with 100 KB of text", how="a manifest of 1,500 unknown fields (H1)"
)
def test_a_long_refusal_at_the_start_is_a_line(home: Path) -> None:
    talkative(home / "fruit" / "1")
    command = [sys.executable, "-m", "modelyard.serving", "--releases", str(home), "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    last = ended.stderr.splitlines()[-1]
    assert (ended.returncode, last[:34], len(last) < 2000) == (2, "modelyard: nothing to serve: fruit", True)
    assert "Traceback" not in ended.stderr


def test_a_server_of_many_long_names_starts(home: Path, serve: Serve) -> None:
    """H1: 450 aliases of 160 characters."""
    for index in range(450):
        point(home, "fruit", f"{index:0160}", 1)
    server = serve(home, "--workers", "1")
    assert len(server.client.get("/models").json()) == 451
    assert server.events("ready")[0]["models"][-1] == "441 more"


@pytest.mark.fault(
    "supervisor or worker sends what is no message", how="bytes written to the other's socket (H1)"
)
def test_a_message_that_cannot_be_read_is_the_end_of_its_worker(home: Path, serve: Serve) -> None:
    server = serve(home, "--workers", "2")
    nonsense = (b"{", b"[" * 60_000, b'["change", "t", "explode", "fruit"]', b"x" * 100_000)
    speakers = [*[None] * len(nonsense), server.process.pid]
    for count, (speaker, content) in enumerate(
        zip(speakers, (*nonsense, b'{"no": "list"}'), strict=True), start=1
    ):
        with channels(speaker or server.workers()[0], server.process.pid) as ends:
            ends[0].send(content)
        server.wait_for(lambda count=count: len(server.events("worker died")) == count)  # type: ignore[misc]
        server.wait_for(lambda count=count: len(server.events("serving")) == 2 + count)  # type: ignore[misc]
    with channels(server.workers()[0], server.process.pid) as ends:  # what nobody waits for changes nothing
        ends[0].send(b'["done", "no such ticket", ""]')
    assert server.client.post(INFER, json=question()).status_code == 200
    assert server.events("fault")[-1]["where"] == "messages"


@pytest.mark.fault("a worker stands still", how="SIGSTOP (M10)")
def test_a_hung_worker_is_replaced_and_changes_are_whole(home: Path, serve: Serve) -> None:
    point(home, "fruit", "rnn", 1)
    server = serve(home, "--workers", "2", "--hang-s", "3", "--allow-load")
    victim = server.workers()[0]
    os.kill(victim, signal.SIGSTOP)
    answered = Counter[int]()

    def unload() -> None:  # on as many connections as it takes to meet the other worker
        for _ in range(3):
            try:
                answered[
                    httpx.post(f"{server.url}/v2/repository/models/fruit-rnn/unload", timeout=20).status_code
                ] += 1
            except httpx.HTTPError:
                answered[0] += 1

    threads = [threading.Thread(target=unload) for _ in range(2)]
    for thread in threads:
        thread.start()
    server.wait_for(lambda: bool(server.events("worker died")) and len(server.workers()) == 2)
    for thread in threads:
        thread.join()
    assert answered[200] >= 4 and set(answered) <= {0, 200}  # 0: at most what the victim held
    assert victim not in server.workers() and "stood still" in server.events("worker ended")[0]["reason"]
    server.wait_for(lambda: len({event["pid"] for event in server.events("serving")}) == 3)
    assert {httpx.get(f"{server.url}/v2/models/fruit-rnn/ready").status_code for _ in range(8)} == {404}


def test_who_is_gone_is_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process id may be another's: what is still meant for it is dropped."""
    crew = Crew(ServeOptions(releases=Path()), Shared(metrics.allocate(1), Places(1, 1)), lambda *_: 0)
    ours, theirs = Channel.pair()
    theirs.close()
    crew.children[7] = Child(7, 0, ours, 0, 0.0)
    found, killed = [(7, 0), (0, 0)], list[int]()
    monkeypatch.setattr(os, "waitpid", lambda *_: found.pop(0))
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    for child, _ in crew.reap(0.0):
        child.channel.close()
        child.tell("changed", "ticket", "")
    assert found == [] and killed == []


def test_workers_outlive_a_supervisor_that_stood_still(home: Path, serve: Serve) -> None:
    """M10: as after the machine slept, the time is no worker's fault."""
    server = serve(home, "--workers", "1", "--hang-s", "3")
    workers = server.workers()
    os.kill(workers[0], signal.SIGSTOP)
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(3.5)
    server.process.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    os.kill(workers[0], signal.SIGCONT)
    assert server.client.get(LIVE).status_code == 200
    assert server.workers() == workers and server.events("worker ended") == []


@pytest.mark.fault("a worker is killed every 0.4 s", how="SIGKILL under load")
def test_while_workers_are_killed_the_others_answer(home: Path, serve: Serve) -> None:
    server = serve(home, "--workers", "2")
    interval = max(0.4, 1.5 * server.events("ready")[0]["seconds"])  # on a busy machine starts take longer
    host, port = server.address.split(":")

    def ask() -> bytes:
        try:
            with socket.create_connection((host, int(port)), 4 * interval) as connection:
                connection.sendall(ASK)
                return connection.recv(4096)[9:12]
        except OSError as error:
            return repr(error).encode()

    with ThreadPoolExecutor(100) as clients:  # which do not wait for each other's answers
        answers = []
        for _ in range(6):
            os.kill(server.workers()[0], signal.SIGKILL)  # the oldest
            for _ in range(20):
                answers.append(clients.submit(ask))
                time.sleep(interval / 20)
    statuses = Counter(answer.result() for answer in answers)
    assert statuses[b"200"] >= 0.9 * statuses.total(), statuses


def connections(server: Server, count: int) -> list[socket.socket]:
    """That many, and what each of them is asked is answered, refused or lost."""
    host, port = server.address.split(":")
    held = [socket.create_connection((host, int(port)), 10) for _ in range(count)]
    for one in held:
        one.sendall(ASK)
    return held


def first_lines(held: list[socket.socket]) -> Counter[bytes]:
    """Statuses as sent; empty for a connection that was lost. Then all are closed."""
    found = Counter[bytes]()
    with ExitStack() as stack:
        for one in held:
            stack.enter_context(one)
        for one in held:
            try:
                found[one.recv(4096)[9:12]] += 1
            except ConnectionError:
                found[b""] += 1
    return found


@pytest.mark.fault("hardly any file descriptors", how="ulimit -n 64 (L9)")
def test_the_descriptors_bound_the_connections(home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = (
        f"ulimit -n 64 && exec {sys.executable} -m modelyard.serving --releases {home} --port 0 --workers 1"
    )
    with (
        log.open("w") as stream,
        subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=stream, text=True) as process,
    ):
        try:
            assert process.stdout is not None and process.stdout.readline()
            server = Server(process, log)
            limit = server.events("fewer connections")[0]["limit"]
            for _ in range(2):
                server.wait_for(
                    lambda: first_lines(connections(server, 60)) == {b"200": limit, b"503": 60 - limit}
                )
            server.client.close()
            assert server.stop() == 0 and server.events("fault") == []
        finally:
            process.kill()


@pytest.mark.fault("a worker without descriptors", how="prlimit while it runs (L9)")
def test_a_lost_connection_gives_its_place_back(home: Path, serve: Serve) -> None:
    server = serve(home, "--workers", "1", "--max-connections", "8")
    (worker,) = server.workers()
    limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    last = max(int(path.name) for path in Path(f"/proc/{worker}/fd").iterdir() if int(path.name) < 200)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (last + 2, limits[1]))
    found = first_lines(connections(server, 8))
    resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
    assert found[b""] >= 5 and found[b"503"] == 0
    server.wait_for(lambda: len(server.events("connection lost")) == found[b""])
    server.wait_for(lambda: first_lines(connections(server, 9)) == {b"200": 8, b"503": 1})
    assert server.workers() == [worker] and server.events("fault") == []


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("127.0.0.1", ""),
        ("127.9.9.9", ""),
        ("::1", ""),
        ("::ffff:127.0.0.1", ""),
        ("10.1.2.3", ""),
        ("::ffff:10.1.2.3", ""),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fd00::7", ""),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_whose_connection_it_is(address: str, peer: str) -> None:
    """L8: this machine and trusted proxies have no bound; an IPv6 client has a whole /64."""
    assert peer_of(address, (ip_network("10.0.0.0/8"), ip_network("fd00::7"))) == peer


def test_nobody_holds_more_than_half_of_the_places() -> None:
    """L8, and L9: places that are left, by a worker or by its death, are free again."""
    places = Places(2, 5)

    def enter(worker: int, peer: str) -> int | None:
        return places.take(worker, peer) if places.may_take(peer, places.all_taken()) else None

    greedy = [enter(worker, "a") for worker in (0, 1, 0)]
    assert (
        greedy[2] is None
        and enter(1, "b") is not None
        and enter(0, "b") is not None
        and enter(0, "b") is None
    )
    assert enter(0, "") is not None and enter(0, "") is None  # full
    assert (places.taken(0), places.taken(1)) == (3, 2)
    places.leave(greedy[1] or 0)
    assert enter(0, "a") is not None and enter(0, "a") is None
    places.clear(0)
    assert (places.taken(0), places.taken(1), places.all_taken()) == (0, 1, 1)


def own_address() -> str:
    """An address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address than loopback")
        return str(probe.getsockname()[0])


@pytest.mark.fault("one client takes all connections", how="silent sockets from another address (L8)")
@pytest.mark.parametrize(("trusted", "served"), [(False, 3), (True, 6)])
def test_one_address_leaves_half_of_the_places_to_others(
    home: Path, serve: Serve, trusted: bool, served: int
) -> None:
    proxy = ("--trusted-proxy", f"{own_address()}/32") if trusted else ()
    server = serve(home, "--workers", "1", "--host", "0.0.0.0", "--max-connections", "6", *proxy)
    port = int(server.url.rpartition(":")[2])
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection((own_address(), port), 10)) for _ in range(8)]
        for one in held:
            one.sendall(ASK)
        assert Counter(one.recv(4096)[9:12] for one in held) == {b"200": served, b"503": 8 - served}
        assert httpx.get(f"http://127.0.0.1:{port}{LIVE}").status_code == (503 if trusted else 200)


@pytest.mark.parametrize(
    "given",
    [
        ("--trusted-proxy", "nowhere"),
        ("--trusted-proxy", "10.0.0.0/33"),
        ("--hang-s", "1"),
        ("--max-connections", "0"),
        ("--trusted-proxy", "10.0.0.1/8"),
        ("--workers", "0"),
        ("--poll-s", "nan"),
        ("--request-timeout-s", "inf"),
        ("--drain-s", "-1"),
        ("--max-rows", "0"),
        ("--max-body-bytes", "2147483648"),
        ("--port", "-1"),
        ("--port", "70000"),
        ("--grpc-port", "65536"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(given: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"^{given[0]}: .*expected .*"):
        read_options(list(given))


def test_every_option_says_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert set(LIMITS) == {f.name for f in fields(ServeOptions) if type(f.default) in {int, float}} - {
        "port",
        "workers",
    }
    assert re.search(r"--[\w-]+ [A-Z]+ \(default", words) is None, words
