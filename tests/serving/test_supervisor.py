"""Workers: spread, replacement, drain, overload and what the whole costs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from modelyard.serving.http.headers import status_line
from tests.serving.bundles import IMAGE_SHAPE, Linear, images, release, slow
from tests.serving.conftest import Serve, Server

INFER = "/v2/models/fruit/infer"


def question(seed: int = 0, rows: int = 1) -> dict[str, object]:
    data = images(rows, seed).reshape(-1).tolist()
    return {"inputs": [{"name": "images", "datatype": "UINT8", "shape": [rows, *IMAGE_SHAPE], "data": data}]}


class Load:
    """Clients that ask without a pause over kept connections until they are told to stop or the server is
    gone.
    """

    def __init__(self, server: Server, clients: int, ask: Callable[[httpx.Client], httpx.Response]) -> None:
        self.statuses: Counter[int] = Counter()
        self.answers: list[httpx.Response] = []
        self.broken: list[str] = []
        self.seconds: list[tuple[int, float]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(server.url, ask)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, url: str, ask: Callable[[httpx.Client], httpx.Response]) -> None:
        with httpx.Client(base_url=url, timeout=20) as client:
            while not self._stop.is_set():
                started = time.perf_counter()
                try:
                    answer = ask(client)
                except httpx.ConnectError:
                    return  # the server is gone: nothing was accepted
                except httpx.HTTPError as error:
                    self.broken.append(repr(error))
                    continue
                self.seconds.append((answer.status_code, time.perf_counter() - started))
                self.answers.append(answer)
                self.statuses[answer.status_code] += 1

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.fault("a worker of the model server is killed under load", how="SIGKILL")
def test_a_killed_worker_is_replaced_while_the_others_go_on(releases: Path, serve: Serve) -> None:
    server = serve(releases, "--workers", "2", "--model", "fruit")
    load = Load(server, 4, lambda client: client.post(INFER, json=question()))
    server.wait_for(lambda: load.statuses[200] > 50)
    victim = server.workers()[0]
    os.kill(victim, signal.SIGKILL)
    server.wait_for(lambda: len(server.workers()) == 2 and victim not in server.workers())
    server.wait_for(lambda: len({event["pid"] for event in server.events("serving")}) == 3)
    before = load.statuses[200]
    server.wait_for(lambda: load.statuses[200] > before + 200)
    load.end()
    assert len(load.broken) <= 4  # only what the victim held in its hands
    assert set(load.statuses) == {200}
    counted = server.client.get("/metrics").text
    total = int(
        next(line.split()[-1] for line in counted.splitlines() if 'nv_inference_count{model="fruit"' in line)
    )
    assert total >= load.statuses[200]  # the dead worker's counts are kept


def test_few_connections_are_spread_evenly(releases: Path, serve: Serve) -> None:
    server = serve(releases, "--workers", "2", "--model", "fruit")
    clients = [httpx.Client(base_url=server.url) for _ in range(8)]
    for client in clients:
        assert client.get("/v2/health/live").status_code == 200
    open_here = [
        len([c for c in psutil.Process(pid).net_connections("tcp") if c.status == "ESTABLISHED"])
        for pid in server.workers()
    ]
    for client in clients:
        client.close()
    assert open_here == [4, 4]


@pytest.mark.fault("the model server is told to end under load", how="SIGTERM")
def test_sigterm_under_load_loses_no_accepted_request(tmp_path: Path, serve: Serve) -> None:
    release(tmp_path / "r", 1, Linear.seeded(1), "champion", graph=Linear.seeded(1).graph(slow(40)))
    server = serve(tmp_path / "r", "--workers", "2")
    load = Load(server, 8, lambda client: client.post(INFER, json=question()))
    server.wait_for(lambda: load.statuses[200] > 50)
    assert server.stop() == 0
    load.end()
    assert load.broken == []
    assert set(load.statuses) == {200}


@pytest.mark.fault("four times the load that a server can answer", how="an open loop of requests")
def test_overload_is_answered_quickly_and_spares_the_accepted(tmp_path: Path, serve: Serve) -> None:
    release(tmp_path / "r", 1, Linear.seeded(1), "champion", graph=Linear.seeded(1).graph(slow(150)))
    server = serve(tmp_path / "r", "--workers", "1", "--queue-s", "0.05")
    load = Load(server, 24, lambda client: client.post(INFER, json=question(rows=4)))
    server.wait_for(lambda: load.statuses[200] > 30 and load.statuses[503] > 30)
    refusals = [answer for answer in load.answers if answer.status_code == 503]
    load.end()
    assert set(load.statuses) == {200, 503} and load.broken == []
    refused = [seconds for status, seconds in load.seconds if status == 503]
    accepted = [seconds for status, seconds in load.seconds if status == 200]
    assert np.median(refused) < np.median(accepted)
    assert np.median(accepted) < 1
    assert all(
        answer.headers["retry-after"] == "1" and set(answer.json()) == {"error"} for answer in refusals
    )


def test_concurrent_requests_never_get_each_others_answers(server: Server, linear: Linear) -> None:
    wrong: list[str] = []

    def ask(seed: int) -> None:
        with httpx.Client(base_url=server.url) as client:
            for turn in range(25):
                rows = 1 + (seed + turn) % 4
                seen = images(rows, seed=1000 * seed + turn)
                entry = {
                    "name": "images",
                    "datatype": "UINT8",
                    "shape": [rows, *IMAGE_SHAPE],
                    "data": seen.reshape(-1).tolist(),
                }
                answer = client.post(INFER, json={"id": f"{seed}-{turn}", "inputs": [entry]}).json()
                found = np.reshape(answer["outputs"][1]["data"], (rows, -1))
                if answer["id"] != f"{seed}-{turn}" or not np.allclose(
                    found, linear.probabilities(seen), atol=1e-5
                ):
                    wrong.append(answer["id"])

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    stats = server.client.get("/v2/models/fruit/versions/1/stats").json()["model_stats"][0]
    assert any(batch["batch_size"] > 4 for batch in stats["batch_stats"])  # requests were merged


def test_a_taken_port_is_one_line_and_exit_code_2(server: Server, releases: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "modelyard.serving",
        "--releases",
        str(releases),
        "--port",
        server.address.split(":")[1],
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("modelyard: cannot listen on 127.0.0.1:")


def test_the_server_imports_no_training(releases: Path) -> None:
    code = (
        "import sys, modelyard.serving.processes.worker, modelyard.serving.processes.supervisor;"
        "print([m for m in ('torch','mlflow','prefect','pydantic','pandas','PIL','typer') if "
        "m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def raw(server: Server, content: bytes) -> bytes:
    """What the server answers to these bytes until it closes."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(content)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


@pytest.mark.parametrize(("content", "status"), [
    (b"nonsense\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: "
b"chunked\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 8000, 431), (b"GET / HTTP/1.1\r\na: " + b"b" * 70_000, 431),
    (b"POST /v2 HTTP/1.1\r\ncontent-length: 9999999999999999999999999\r\n\r\n", 400),
])  # fmt: skip
def test_what_is_no_http_gets_an_error_and_no_connection(server: Server, content: bytes, status: int) -> None:
    head, _, body = raw(server, content).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert set(json.loads(body)) == {"error"}


@pytest.mark.fault("a client sends half a request", how="a socket that stays silent")
def test_a_request_that_never_arrives_is_ended(releases: Path, serve: Serve) -> None:
    server = serve(releases, "--workers", "1", "--model", "fruit", "--read-timeout-s", "0.2")
    half_a_body = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nab"
    for beginning in (b"", b"POST /v2/models/fruit/infer HTTP/1.1\r\nhost: localhost\r\n", half_a_body):
        assert raw(server, beginning).startswith(b"HTTP/1.1 408 ")


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    request = b"GET %s HTTP/1.1\r\nhost: localhost\r\n%s\r\n"
    paths = (b"/v2/models/fruit", b"/v2/health/live", b"/v2/models/nobody")
    content = b"".join(
        request % (path, b"connection: close\r\n" if path == paths[-1] else b"") for path in paths
    )
    answered = raw(server, content)
    assert [answered.find(text) for text in (b'"platform"', b'"live"', b"unknown model")] == sorted(
        answered.find(text) for text in (b'"platform"', b'"live"', b"unknown model")
    )
    assert answered.count(b"HTTP/1.1 200 OK") == 2 and answered.count(b"HTTP/1.1 404") == 1


def test_a_half_closed_client_gets_its_answer(server: Server) -> None:
    body = json.dumps(question()).encode()
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(
            b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s"
            % (INFER.encode(), len(body), body)
        )
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200 OK") and b'"probabilities"' in received


def test_an_upgrade_nobody_offers_is_an_ordinary_request(server: Server) -> None:
    answered = raw(
        server, b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n"
    )
    assert answered.startswith(b"HTTP/1.1 200 OK")


def test_too_many_connections_are_refused(releases: Path, serve: Serve) -> None:
    server = serve(releases, "--workers", "1", "--model", "fruit", "--max-connections", "2")
    held = [httpx.Client(base_url=server.url) for _ in range(2)]
    assert all(client.get("/v2/health/live").status_code == 200 for client in held)
    refused = raw(server, b"")
    assert refused.startswith(status_line(HTTPStatus.SERVICE_UNAVAILABLE)) and b"nosniff" in refused  # L18
    held[0].close()
    server.wait_for(lambda: httpx.get(f"{server.url}/v2/health/live").status_code == 200)
    held[1].close()
