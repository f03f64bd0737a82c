"""What stands before Prefect's server: only pages and programs of this machine come in, and a browser is signed in."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from modelyard.operations.sign_in import PATH, SignIn

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_COSTLY = ("/openapi.json", "/docs", "/redoc")
"""Prefect makes them anew for each request, for seconds, and asks nobody who he is."""
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


def refusal(headers: Headers) -> tuple[int, str] | None:
    """Status and reason where the request is for another name than this machine's, or a page of another origin makes it."""
    told = {name: [value.decode("latin-1").lower() for key, value in headers if key == name] for name, _ in headers}
    hosts = told.get(b"host", [])
    if len(hosts) != 1 or not _is_local(hosts[0]):
        return 421, "expected the Host 127.0.0.1, localhost or an IP address; any other name may be led here by its owner"
    if not {*told.get(b"origin", [])} <= {f"http://{hosts[0]}", f"https://{hosts[0]}"}:
        return 403, "a page of another origin may not use this server"
    if {*told.get(b"sec-fetch-dest", [])} & {"iframe", "frame", "object", "embed"}:
        return 403, "not inside of another page"
    return None


def _is_local(host: str) -> bool:
    found = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:\d{1,5})?", host)
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
        if scope["type"] == "lifespan":
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
            await self._app(scope | {"headers": _translated(scope["headers"], self._sign_in)}, receive, send)

    async def _let_in(self, sign_in: SignIn, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """The page, which sends its ticket back; then a session for it."""
        if scope["method"] != "POST":
            return await _answer(send, 200, _PAGE, b"text/html")
        ticket = (await receive()).get("body", b"")[:300].decode("latin-1")
        if ticket in self._used or not sign_in.accepts(ticket, self._since):
            return await _answer(send, 403, "This link was used or is too old; for a new one: modelyard ui")
        self._used.add(ticket)
        return await _answer(send, 200, sign_in.sign("session"))


def _translated(headers: Headers, sign_in: SignIn) -> Headers:
    """With the string itself instead of a session."""
    session, real = f"Basic {sign_in.sign('session')}".encode(), b"Basic " + base64.b64encode(sign_in.auth.encode())
    return [
        (name, real if name == b"authorization" and hmac.compare_digest(value, session) else value) for name, value in headers
    ]


async def _refuse(scope: dict[str, Any], send: Send, status: int, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
    else:
        await _answer(send, status, reason)


async def _answer(send: Send, status: int, text: str, kind: bytes = b"text/plain") -> None:
    headers = [(b"content-type", kind + b"; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
