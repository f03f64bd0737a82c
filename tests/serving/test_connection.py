"""HTTP/1.1 on a bare socket: what no client library lets one send."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import mmap
import os
import select
import socket
import struct
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import uvloop

from modelyard.errors import RequestError
from modelyard.serving.http.auth import Callers
from modelyard.serving.http.connection import Connection
from modelyard.serving.http.exchange import Request, Response
from modelyard.serving.options import ServeOptions
from modelyard.serving.processes import metrics
from modelyard.serving.protocol.answering import Answering
from modelyard.serving.protocol.handlers import Handlers
from modelyard.serving.protocol.packing import FREE_BYTES, unpack
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
    connection.sendall(
        HEAD + b"connection: close\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(BODY)
    )
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


@pytest.mark.parametrize(
    "head", [b"content-length: 5000000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n4c4b40\r\n"]
)
def test_a_client_that_sends_too_much_still_reads_why(connection: socket.socket, head: bytes) -> None:
    connection.sendall(HEAD + head)
    connection.sendall(b" " * 2_000_000)
    assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_known_head_is_read_as_a_new_one(connection: socket.socket, server: Server) -> None:
    other = json.dumps(question(seed=5)).encode()
    second = HEAD + b"content-length: %d\r\n\r\n%s" % (len(other), other)
    closing = [whole.replace(b"host:", b"connection: close\r\nhost:") for whole in (WHOLE, second)]
    fresh = [json.loads(raw(server, whole).partition(b"\r\n\r\n")[2]) for whole in closing]
    asked = [
        WHOLE,
        second,
        WHOLE[:40],
        WHOLE[40:],
        WHOLE + second,
        WHOLE,
        WHOLE + second[:30],
        second[30:],
        WHOLE,
    ]
    expected = [fresh[place] for place in (0, 1, 0, 0, 1, 0, 0, 1, 0)]
    received = b""
    for part in asked:
        connection.sendall(part)
        connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                received += connection.recv(65536)
    answers = [
        json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in received.split(b"HTTP/1.1 200 OK")[1:]
    ]
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


def statuses(server: Server, *requests: bytes) -> list[int]:
    """Of the one answer to each of these, sent on a connection of its own."""
    return [int(raw(server, request).split(b" ", 2)[1]) for request in requests]


def asking(*lines: str, target: str = "/v2", version: str = "1.1") -> bytes:
    return "\r\n".join([f"GET {target} HTTP/{version}", "connection: close", *lines, "", ""]).encode(
        "latin-1"
    )


def test_only_hosts_that_no_page_can_choose_are_answered(server: Server) -> None:
    """H4: DNS rebinding. The name in Host decides, whatever Origin and Sec-Fetch-Site say."""
    ours = (
        "localhost",
        "LocalHost:80",
        "localhost.",
        "a.localhost",
        "127.0.0.1",
        "10.1.2.3:9700",
        "[::1]",
        "[FE80::1%eth0]:1",
    )
    foreign = (
        "evil.example", "EVIL.example:29705", "evil.example.", "localhost.evil.example", "evil-localhost",
        "127.0.0.1.evil.example", "2130706433", "0x7f.0.0.1", "999.1.1.1",
    )  # fmt: skip
    wrong = (
        "",
        "a b/../",
        "me@localhost",
        "[::1",
        "::1",
        "[localhost]",
        "localhost:port",
        "localhost/x",
        "localhost, evil.example",
    )
    assert statuses(server, *(asking(f"Host: {host}") for host in ours)) == [200] * len(ours)
    assert statuses(server, *(asking(f"Host: {host}") for host in foreign)) == [421] * len(foreign)
    assert statuses(server, *(asking(f"Host: {host}") for host in wrong)) == [400] * len(wrong)
    for more in ("Origin: http://evil.example", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"):
        assert statuses(server, asking("Host: evil.example", more, target="/v2/health/live")) == [421]
    assert b"--allowed-host evil.example" in raw(server, asking("Host: evil.example"))


def test_the_host_of_a_whole_address_counts_too(server: Server) -> None:
    """H4, RFC 9112 3.2.2."""
    for target, host, status in (
        ("http://localhost/v2", "localhost", 200), ("http://evil.example/v2", "evil.example", 421),
        ("http://evil.example/v2", "localhost", 400), ("http://localhost/v2", "evil.example", 400),
        ("http://me@localhost/v2", "localhost", 400),
    ):  # fmt: skip
        assert statuses(server, asking(f"Host: {host}", target=target)) == [status], (target, host)
    old = (
        asking(version="1.0"),
        asking("Host: evil.example", version="1.0"),
        asking(target="http://evil.example/v2", version="1.0"),
    )
    assert statuses(server, *old) == [200, 421, 421]


def test_a_host_is_looked_at_again_in_every_new_head(connection: socket.socket) -> None:
    """H4: a head that came before is not parsed again, so none that was refused may be remembered."""
    foreign = WHOLE.replace(b"localhost", b"evil.invalid")
    for _ in range(2):
        connection.sendall(WHOLE)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    connection.sendall(foreign)
    assert rest(connection).startswith(b"HTTP/1.1 421 ")


def test_a_head_that_can_be_read_in_two_ways_is_refused(server: Server) -> None:
    """L3 and L4: no Host, two, doubled headers that decide, other codings and expectations."""
    host = "Host: localhost"
    assert statuses(server, asking(), asking(host, host), asking(host, "host: 127.0.0.1")) == [400] * 3
    for name in (
        "Authorization",
        "Content-Encoding",
        "Inference-Header-Content-Length",
        "Origin",
        "Content-Type",
    ):
        assert statuses(server, asking(host, f"{name}: a", f"{name.lower()}: b")) == [400], name
    chunked = "Transfer-Encoding: chunked"
    for coding in ("gzip, chunked", "x, chunked", "chunked, chunked"):
        assert statuses(server, asking(host, f"Transfer-Encoding: {coding}") + b"0\r\n\r\n")[0] in {
            400,
            501,
        }, coding
    assert statuses(server, asking(host, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n") == [501]
    assert statuses(server, asking(host, "Transfer-Encoding: gzip", chunked) + b"0\r\n\r\n") == [400]
    assert statuses(server, asking(host, "Expect: 200-ok")) == [417]


def in_parts(server: Server, content: bytes, size: int) -> int:
    """The status of what arrives in pieces."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), 10) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            for start in range(0, len(content), size):
                made.sendall(content[start : start + size])
        return int(rest(made).split(b" ", 2)[1])


def test_what_is_neither_header_nor_body_is_limited_however_it_arrives(server: Server) -> None:
    """L2: addresses, the extensions of chunks, blanks, and as many headers as fit."""
    chunked = HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    blank = b" " * (100_000 - len(BODY)) + BODY
    for content, status in (
        (asking("Host: localhost", target="/" + "a" * 60_000), 414),
        (chunked + b"1;" + b"a" * 100_000 + b"\r\na\r\n0\r\n\r\n", 400),
        (chunked + (b"1;" + b"a" * 1000 + b"\r\n \r\n") * 100 + b"0\r\n\r\n", 400),
        (asking("Host: localhost", "a:" + " " * 100_000 + "b"), 431),
        (asking("Host: localhost", *(f"a{number}: b" for number in range(200))), 431),
        (asking("Host: localhost", "a: " + "b" * 31_000), 200),
        (
            chunked
            + b"".join(b"2\r\n%s\r\n" % blank[at : at + 2] for at in range(0, 100_000, 2))
            + b"0\r\n\r\n",
            200,
        ),
    ):
        assert {in_parts(server, content, size) for size in (8_000, 1_000_000)} == {status}, content[:80]


def test_a_head_is_refused_before_its_body_is_sent(releases: Path, serve: Serve, tmp_path: Path) -> None:
    """M3: 401, 403, 404 and 405 need no body, and nobody is invited to send one."""
    (tmp_path / "tokens").write_text("good\n")
    server = serve(releases, "--workers", "1", "--model", "fruit", "--token-file", str(tmp_path / "tokens"))
    good = "Authorization: Bearer good\r\n"
    for target, headers, status in (
        ("POST /predict", "", 401),
        ("POST /invocations", "Authorization: Bearer bad\r\n", 401),
        ("POST /v2/models/fruit/infer", "", 401),
        ("POST /predict", good + "Origin: http://evil.example\r\n", 403),
        ("POST /nothing", good, 404),
        ("POST /models", good, 405),
        ("POST /v2/repository/models/fruit/unload", good, 403),
    ):
        for body in (
            "content-length: 31000000",
            "transfer-encoding: chunked",
            "content-length: 9\r\nexpect: 100-continue",
        ):
            answered = raw(
                server, f"{target} HTTP/1.1\r\nhost: localhost\r\n{headers}{body}\r\n\r\n".encode()
            )
            assert answered.startswith(b"HTTP/1.1 %d " % status), (target, answered)
            assert b"x-request-id: " in answered
    for sent in (
        b"content-length: 31000000\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n4e20\r\n" + bytes(20_000),
    ):
        answered = raw(server, b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + sent)  # which is open to all
        assert answered.startswith(b"HTTP/1.1 413 "), answered


@pytest.mark.fault("clients send more than a worker may hold", how="many large bodies at once, none whole")
def test_bodies_share_a_budget_and_small_ones_always_fit(releases: Path, serve: Serve) -> None:
    """M3: the newest large body gives way, those before it end, small requests go on."""
    server = serve(releases, "--workers", "1", "--max-body-bytes", "1000000", "--max-bodies-bytes", "2000000")
    host, port = server.address.split(":")
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 700000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection((host, int(port)), 20)) for _ in range(4)]
        for client in clients:
            client.sendall(head + bytes(600_000))
        refused: set[socket.socket] = set()
        while len(refused) < 2:
            refused |= set(
                select.select([client for client in clients if client not in refused], [], [], 20)[0]
            )
        for client in refused:
            answered = rest(client)
            assert answered.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in answered
        assert raw(server, WHOLE.replace(b"host:", b"connection: close\r\nhost:")).startswith(
            b"HTTP/1.1 200 "
        )
        for client in set(clients) - refused:
            client.sendall(bytes(100_000))
            assert rest(client).startswith(b"HTTP/1.1 400 ")
    assert server.client.post("/predict", content=bytes(900_000)).status_code == 400


def test_a_worker_lets_go_of_every_body(releases: Path, serve: Serve) -> None:
    """H2: answered, aborted and refused ones, with the connection or without."""
    server = serve(releases, "--workers", "1", "--model", "fruit")
    host, port = server.address.split(":")
    (worker,) = server.workers()
    content = bytes(6_000_000)
    before = psutil.Process(worker).memory_info().rss
    for length in [len(content), len(content) + 1] * 12:
        with socket.create_connection((host, int(port)), 10) as client, contextlib.suppress(OSError):
            client.sendall(
                b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % length + content
            )
            if length == len(content):
                assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    assert server.client.get("/v2/health/live").status_code == 200
    assert psutil.Process(worker).memory_info().rss - before < 60_000_000


def answering_alone() -> tuple[Handlers, Answering]:
    """With nothing that is served."""

    async def change_model(order: str, name: str) -> None:
        """Never called."""

    callers = Callers(None, allow_load=False)
    handlers = Handlers(cast(Any, None), mmap.mmap(-1, 1), callers=callers, change_model=change_model)
    return handlers, Answering(handlers, ServeOptions(releases=Path()), metrics.own(metrics.allocate(0), 0))


def test_a_client_that_has_gone_is_not_worked_for() -> None:
    """M2 and H2: what it asked for is given up, and its bytes are given back, those of a packed body too."""

    async def ask() -> None:
        handlers, answering = answering_alone()
        begun, ended = asyncio.Event(), asyncio.Event()
        made: list[weakref.ref[Connection]] = []

        async def answer(request: Request) -> Response:
            begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()
            raise AssertionError(request)

        def connect() -> Connection:
            connection = Connection(answering, set(), lambda: None)
            made.append(weakref.ref(connection))
            return connection

        cast(Any, handlers).answer = answer
        packed = gzip.compress(bytes(100_000))
        head = (
            b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: "
            b"gzip\r\ncontent-length: %d\r\n\r\n"
        )
        async with await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0) as server:
            with socket.create_connection(server.sockets[0].getsockname()) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall((head % len(packed) + packed) * 3)
                await begun.wait()
                assert answering.budget.held > 100_000
            await asyncio.wait_for(ended.wait(), 20)
            for _ in range(10):  # turns of the loop
                await asyncio.sleep(0)
        assert answering.budget.held == 0 and made[0]() is None

        unpacking = asyncio.create_task(answering._unpack(gzip.compress(os.urandom(10**6)), b"gzip"))
        await asyncio.sleep(0)
        assert answering.budget.held > 0
        unpacking.cancel()
        await asyncio.wait({unpacking})
        assert answering.budget.held == 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # a worker's
        runner.run(ask())


def test_a_connection_is_freed_without_a_search_for_garbage() -> None:
    """H2: no reference cycle keeps it or what it read, whatever ended it."""

    async def ask(address: tuple[str, int], sent: bytes) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        writer.write_eof()
        await reader.read()
        writer.close()

    async def ask_all() -> list[bytes]:
        _, answering = answering_alone()
        made: list[weakref.ref[object]] = []

        def connect() -> Connection:
            connection = Connection(answering, set(), lambda: None)
            made.extend([weakref.ref(connection), weakref.ref(connection._reader)])
            return connection

        get, post = (
            b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n",
            b"POST /predict HTTP/1.1\r\nhost: localhost\r\n",
        )
        kept: list[bytes] = []
        async with await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0) as server:
            for sent in (
                get + b"\r\n", get * 2, post + b"content-length: 9\r\n\r\nabc", post + b"content-length: "
b"99999999\r\n\r\n",
                get + b"expect: x\r\n\r\n", b"nonsense", b"CONNECT a:1 "
b"HTTP/1.1\r\nhost: a\r\n\r\n", get + b"upgrade: a\r\n\r\n"
            ):  # fmt: skip
                await ask(server.sockets[0].getsockname(), sent)
                for _ in range(10):  # turns of the loop
                    await asyncio.sleep(0)
                kept += [sent for one in made if one() is not None]
                made.clear()
        assert answering.budget.held == 0
        return kept

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(ask_all()) == []
    finally:
        gc.enable()


def test_a_body_may_not_unpack_to_much_more_than_it_is(server: Server) -> None:
    """M1's 32 KB that were 33 MB; a thousand blank digits in JSON are no bomb."""
    blank = json.dumps([0] * 1024 * 784).encode()
    assert b"".join(unpack(gzip.compress(blank), b"gzip")) == blank
    for bomb in (b'{"inputs":[' + b"[]," * 11_000_000, bytes(40_000_000)):
        num_bytes = 0
        with pytest.raises(RequestError, match="unpacks to more than 50 times its size"):
            for piece in unpack(gzip.compress(bomb, 6), b"gzip"):
                num_bytes += len(piece)
        assert num_bytes < 2 * FREE_BYTES
    packed = gzip.compress(BODY)
    for broken in (packed[:-3], packed + b"x", packed + packed, b""):
        answer = server.client.post(INFER, content=broken, headers={"content-encoding": "gzip"})
        assert answer.status_code == 400, answer.text
    assert server.client.post(INFER, content=packed, headers={"content-encoding": "gzip"}).status_code == 200
