"""HTTP/1.1 on a bare socket: what no client library lets one send."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.conftest import Serve, Server
from tests.serving.test_supervisor import INFER, question, raw

BODY = json.dumps(question()).encode()
HEAD = b"POST %s HTTP/1.1\r\nhost: localhost\r\n" % INFER.encode()
WHOLE = HEAD + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
LAST = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


@pytest.fixture
def connection(server: Server) -> Iterator[socket.socket]:
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), 10) as made:
        yield made


def rest(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_body_that_waits_for_leave_is_invited(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"connection: close\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY))
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(BODY)
    assert rest(connection).startswith(b"HTTP/1.1 200 OK")


def test_a_body_in_chunks_arrives_whole_and_what_trails_it_is_no_header(connection: socket.socket) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:7], BODY[7:]))
    trailer = b"0\r\naccept-encoding: gzip\r\n\r\n"
    connection.sendall(HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + trailer)
    head, _, body = rest(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and b"gzip" not in head
    assert json.loads(body)["model_name"] == "fruit"


def test_an_old_client_is_answered_and_left(server: Server) -> None:
    answered = raw(server, b"GET /v2/health/live HTTP/1.0\r\nconnection: keep-alive\r\n\r\n" * 2)
    assert answered.count(b"HTTP/1.1 200 OK") == 1 and b"connection: close" in answered


def test_head_has_the_length_and_no_body(server: Server) -> None:
    get, head = (raw(server, b"%s /v2/health/live HTTP/1.0\r\n\r\n" % method) for method in (b"GET", b"HEAD"))
    assert head.endswith(b"\r\n\r\n") and b"content-length: 13" in head
    assert get.endswith(b'\r\n\r\n{"live":true}')


def test_a_hundred_requests_sent_at_once_are_all_answered(connection: socket.socket) -> None:
    connection.sendall(WHOLE * 99 + LAST)
    assert rest(connection).count(b"HTTP/1.1 200 OK") == 100


def test_a_header_cut_after_a_large_body_is_not_too_large(connection: socket.socket) -> None:
    large = HEAD + b"content-length: 90000\r\n\r\n" + b" " * (90_000 - len(BODY)) + BODY
    connection.sendall(large + LAST[:20])
    connection.sendall(LAST[20:])
    assert rest(connection).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("head", [b"content-length: 5000000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n4c4b40\r\n"])
def test_a_client_that_sends_too_much_still_reads_why(connection: socket.socket, head: bytes) -> None:
    connection.sendall(HEAD + head)
    connection.sendall(b" " * 2_000_000)
    assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_known_head_is_read_as_a_new_one(connection: socket.socket, server: Server) -> None:
    other = json.dumps(question(seed=5)).encode()
    second = HEAD + b"content-length: %d\r\n\r\n%s" % (len(other), other)
    closing = [whole.replace(b"host:", b"connection: close\r\nhost:") for whole in (WHOLE, second)]
    fresh = [json.loads(raw(server, whole).partition(b"\r\n\r\n")[2]) for whole in closing]
    asked = [WHOLE, second, WHOLE[:40], WHOLE[40:], WHOLE + second, WHOLE, WHOLE + second[:30], second[30:], WHOLE]
    expected = [fresh[place] for place in (0, 1, 0, 0, 1, 0, 0, 1, 0)]
    received = b""
    for part in asked:
        connection.sendall(part)
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                received += connection.recv(65536)
    answers = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in received.split(b"HTTP/1.1 200 OK")[1:]]
    assert answers == expected


def test_a_refusal_comes_after_the_answers_before_it(connection: socket.socket) -> None:
    connection.sendall(WHOLE + b"nonsense\r\n\r\n")
    answered = rest(connection)
    assert answered.startswith(b"HTTP/1.1 200 OK") and answered.count(b"HTTP/1.1 400 ") == 1


@pytest.mark.fault("a client asks and never reads", how="a socket with a small buffer that is not read")
def test_a_client_that_never_reads_is_let_go(releases: Path, serve: Serve) -> None:
    server = serve(releases, "--workers", "1", "--model", "fruit", "--read-timeout-s", "0.3")
    host, port = server.address.split(":")
    page = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.settimeout(10)
        greedy.connect((host, int(port)))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                greedy.sendall(page * 100)
    assert server.client.get("/v2/health/live").status_code == 200
