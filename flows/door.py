"""What stands before Prefect's server: only pages and programs of this machine come in, and a browser is signed in."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from modelyard.operations.sign_in import PATH, SignIn

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:\d{1,5})?")
_ALWAYS: Headers = [(b"x-frame-options", b"DENY"), (b"x-content-type-options", b"nosniff")]
_COSTLY = ("/openapi.json", "/docs", "/redoc")
"""Prefect makes them anew for each request, for seconds, and asks nobody who he is."""
_PAGE_HEADERS: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'"),
]
_PAGE = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Modelyard</title><p id="told">Signing in ...</p>
<script>
const ticket = location.hash.slice(1), told = document.getElementById("told");
history.replaceState(null, "", "{PATH}");
fetch("{PATH}", {{method: "POST", body: ticket}}).then(async answer => {{
  const text = await answer.text();
  if (!answer.ok) {{ told.textContent = text; return; }}
  localStorage.setItem("prefect-password", text);
  location.replace("/runs");
}});
</script>
"""


def refusal(headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
    """Status and reason where the request is for another name than this machine's, or from a page of another origin."""
    given = [(name, value.decode("latin-1").lower()) for name, value in headers if name in (b"host", b"origin")]
    hosts = [value for name, value in given if name == b"host"]
    if len(hosts) != 1 or not _is_local(hosts[0]):
        return 421, "expected the Host 127.0.0.1, localhost or an IP address: any other name may be led here by its owner"
    if any(value not in (f"http://{hosts[0]}", f"https://{hosts[0]}") for name, value in given if name == b"origin"):
        return 403, "a page of another origin may not use this server"
    return None


def _is_local(host: str) -> bool:
    found = _HOST.fullmatch(host)
    if found is None or found[1] == "localhost":
        return found is not None
    try:
        return bool(ipaddress.ip_address(found[1].strip("[]")))
    except ValueError:
        return False


class Door:
    """An ASGI application around Prefect's; without `sign_in` no browser is let in."""

    def __init__(self, app: App, sign_in: SignIn | None = None) -> None:
        self._app = app
        self._sign_in = sign_in
        self._since = time.time_ns()
        self._used: set[str] = set()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif refused := refusal(scope["headers"]):
            await _refuse(scope, send, *refused)
        elif scope["path"] in _COSTLY:
            await _refuse(scope, send, 404, "not served")
        elif self._sign_in is None or scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif scope["path"] == PATH:
            await self._let_in(self._sign_in, scope, receive, send)
        else:
            await self._app(scope | {"headers": _translated(scope["headers"], self._sign_in)}, receive, _marked(send))

    async def _let_in(self, sign_in: SignIn, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """The page, which sends its ticket back; then a session for it."""
        if scope["method"] != "POST":
            return await _answer(send, 200, _PAGE, _PAGE_HEADERS)
        ticket = (await receive()).get("body", b"")[:300].decode("latin-1")
        if ticket in self._used or not sign_in.accepts(ticket, self._since):
            return await _answer(send, 403, "This link was used or is too old; for a new one: modelyard ui")
        self._used.add(ticket)
        await _answer(send, 200, sign_in.session)
        return None


def _translated(headers: Headers, sign_in: SignIn) -> Headers:
    """With the string itself instead of a session."""
    session, real = f"Basic {sign_in.session}".encode(), b"Basic " + base64.b64encode(sign_in.auth.encode())
    return [
        (name, real if name == b"authorization" and hmac.compare_digest(value, session) else value) for name, value in headers
    ]


def _marked(send: Send) -> Send:
    async def marked(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_ALWAYS]
        await send(message)

    return marked


async def _refuse(scope: dict[str, Any], send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
    else:
        await _answer(send, status, reason)


async def _answer(send: Send, status: int, text: str, headers: Headers | None = None) -> None:
    headers = headers or [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *_ALWAYS]})
    await send({"type": "http.response.body", "body": text.encode()})
