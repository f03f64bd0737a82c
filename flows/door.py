"""What stands before Prefect's server: only pages and programs of this machine come in, and a browser is signed in."""

from __future__ import annotations

import base64
import hmac
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard.operations.sign_in import PATH, SignIn
from modelyard.serving.hosts import HOST, is_loopback

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


def refusal(headers: Headers) -> Response | None:
    """Where the request is for another name than this machine's, or a page of another origin makes it."""
    hosts = [host.lower() for host in headers.getlist("host")]
    found = HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if found is None or is_loopback(found[1]) is None:
        why = "expected the Host 127.0.0.1, localhost or an IP address; any other name may be led here by its owner"
        return PlainTextResponse(why, 421)
    if not {origin.lower() for origin in headers.getlist("origin")} <= {f"http://{hosts[0]}", f"https://{hosts[0]}"}:
        return PlainTextResponse("a page of another origin may not use this server", 403)
    if headers.get("sec-fetch-dest") in {"iframe", "frame", "object", "embed"}:
        return PlainTextResponse("not inside of another page", 403)
    return None


class Door:
    """An ASGI application around Prefect's; without `sign_in` no browser is let in."""

    def __init__(self, app: ASGIApp, sign_in: SignIn | None = None) -> None:
        self._app = app
        self._sign_in = sign_in
        self._since = time.time_ns()
        self._used: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        answer = refusal(Headers(scope=scope))
        if answer is None and scope["path"] in _COSTLY:
            answer = PlainTextResponse("not served", 404)
        if answer is None and self._sign_in is not None and scope["type"] == "http":
            if scope["path"] == PATH:
                answer = await self._let_in(self._sign_in, scope, receive)
            else:
                _translate(MutableHeaders(scope=scope), self._sign_in)
        return await (answer or self._app)(scope, receive, send)

    async def _let_in(self, sign_in: SignIn, scope: Scope, receive: Receive) -> Response:
        """The page, which sends its ticket back; then a session for it."""
        fresh = {"cache-control": "no-store"}
        if scope["method"] != "POST":
            return HTMLResponse(_PAGE, headers=fresh)
        ticket = (await receive()).get("body", b"")[:300].decode("latin-1")
        if ticket in self._used or not sign_in.accepts(ticket, self._since):
            return PlainTextResponse("This link was used or is too old; for a new one: modelyard ui", 403, fresh)
        self._used.add(ticket)
        return PlainTextResponse(sign_in.sign("session"), headers=fresh)


def _translate(headers: MutableHeaders, sign_in: SignIn) -> None:
    """The string itself instead of a session."""
    told, session = headers.get("authorization", ""), f"Basic {sign_in.sign('session')}"
    if hmac.compare_digest(told.encode(), session.encode()):
        headers["authorization"] = f"Basic {base64.b64encode(sign_in.auth.encode()).decode()}"
