"""C1: who may come to Prefect's server, and how a browser is signed in: once, lately, for as long as this
`up`.
"""

from __future__ import annotations

import asyncio
import base64
import time

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from flows.door import Door, refusal
from modelyard.operations.sign_in import PATH, TICKET_SECONDS, SignIn
from modelyard.serving.http.hosts import Hosts

AUTH = SignIn("modelyard:secret", "process:here/1/2.00")


def headers(host: str, origin: str = "") -> list[tuple[bytes, bytes]]:
    return [(b"host", host.encode()), *([(b"origin", origin.encode())] if origin else [])]


def status(raw: list[tuple[bytes, bytes]]) -> int:
    refused = refusal(Headers(raw=raw), Hosts(["mlops.example.org"]))
    return refused.status_code if refused else 200


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:4200",
        "localhost:14200",
        "LOCALHOST",
        "[::1]:4200",
        "192.168.1.7:4200",
        "127.0.0.1",
        "MLOps.example.org:8443",
    ],
)
def test_an_address_or_localhost_comes_in_with_its_own_pages_only(host: str) -> None:
    assert status(headers(host)) == status(headers(host, f"http://{host}")) == 200
    for origin in (
        "http://evil.example",
        "null",
        "http://localhost:8888",
        f"http://{host}.evil.example",
        "file://",
        "http://",
    ):
        assert status(headers(host, origin)) == 403
    assert status([*headers(host), (b"sec-fetch-dest", b"iframe")]) == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:4200", "127.0.0.1.nip.io", "localhost.evil.example", "notlocalhost",
        "localhost:4200@evil", "",
        "2130706433", "0x7f.1", "127.1", "[::1", "::1", "[evil]:80", "127.0.0.1:4200, "
"evil.example", "127.0.0.1:port",
    ],
)  # fmt: skip
def test_a_name_does_not_come_in_whatever_its_origin_says(host: str) -> None:
    assert status(headers(host, f"http://{host}")) == 421


def test_no_host_and_two_hosts_do_not_come_in() -> None:
    assert status([]) == status([*headers("127.0.0.1"), *headers("127.0.0.1")]) == 421


class Asked:
    """A door before an application that answers with the authorization it was given."""

    def __init__(self) -> None:
        self.door = Door(self._app, AUTH)

    async def _app(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": dict(scope["headers"]).get(b"authorization", b"")})

    def __call__(
        self, path: str, *more: tuple[bytes, bytes], method: str = "GET", body: str = ""
    ) -> tuple[int, str]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body.encode()}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "path": path,
            "method": method,
            "headers": [*headers("127.0.0.1:4200"), *more],
        }
        asyncio.run(self.door(scope, receive, send))
        return sent[0]["status"], sent[1]["body"].decode()


def ticket_of(sign_in: SignIn = AUTH) -> str:
    return sign_in.link("").partition("#")[2]


def test_a_ticket_opens_one_session_and_the_session_stands_for_the_string() -> None:
    ask, ticket = Asked(), ticket_of()
    status, session = ask(PATH, method="POST", body=ticket)
    assert (
        status == 200
        and "secret" not in session
        and base64.b64encode(AUTH.auth.encode()).decode() not in session
    )
    assert ask("/api/x", (b"authorization", f"Basic {session}".encode()))[1] == (
        "Basic " + base64.b64encode(AUTH.auth.encode()).decode()
    )
    assert ask("/api/x", (b"authorization", b"Basic other"))[1] == "Basic other"
    assert ask(PATH, method="POST", body=ticket)[0] == 403
    assert ask(PATH)[1].startswith("<!doctype html>")


@pytest.mark.parametrize(
    "ticket",
    [
        "",
        ".",
        "1.2.3",
        "x" * 500,
        f"session.{AUTH.sign('session')}",
        ticket_of(SignIn("modelyard:other", AUTH.supervisor)),
        ticket_of(SignIn(AUTH.auth, "later")),
    ],
)
def test_another_ticket_opens_nothing(ticket: str) -> None:
    assert Asked()(PATH, method="POST", body=ticket)[0] == 403


def test_an_old_ticket_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one of ten minutes ago, nor one that a server before this one may have taken."""
    before, ask, ticket = ticket_of(), Asked(), ticket_of()
    assert ask(PATH, method="POST", body=before)[0] == 403
    later = time.time_ns() + (TICKET_SECONDS + 1) * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert ask(PATH, method="POST", body=ticket)[0] == 403


def test_what_costs_seconds_and_asks_nobody_is_not_served() -> None:
    assert [Asked()(path)[0] for path in ("/openapi.json", "/docs", "/redoc")] == [404, 404, 404]
