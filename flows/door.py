"""What stands before Prefect's server: only pages and programs of this machine come in, and a browser is
signed in.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard.errors import RequestError
from modelyard.operations.sign_in import PATH, SignIn
from modelyard.serving.http.hosts import Hosts
from modelyard.serving.http.origins import is_of_host, read_origin

_COSTLY = ("/openapi.json", "/docs", "/redoc")
"""Prefect makes them anew for each request, for seconds, and asks nobody who he is."""
_PAGE = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Modelyard</title>
<p id="told">Signing in ...</p>
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


def refusal(headers: Headers, hosts: Hosts) -> Response | None:
    """Where the request is for a name that may be led here by its owner, or a page of another origin makes
    it.
    """
    host = ",".join(headers.getlist("host"))  # two are none
    try:
        hosts.check(host.encode("latin-1"))
    except RequestError as error:
        return PlainTextResponse(str(error), 421)
    if not all(is_of_host(read_origin(origin), host) for origin in headers.getlist("origin")):
        return PlainTextResponse("a page of another origin may not use this server", 403)
    if headers.get("sec-fetch-dest") in {"iframe", "frame", "object", "embed"}:
        return PlainTextResponse("not inside of another page", 403)
    return None


class Door:
    """An ASGI application around Prefect's; without `sign_in` no browser is let in. `names`: hosts beside
    this machine's.
    """

    def __init__(self, app: ASGIApp, sign_in: SignIn | None = None, names: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = Hosts(names)
        self._sign_in = sign_in
        self._since = time.time_ns()
        self._used: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        answer = refusal(Headers(scope=scope), self._hosts)
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
            return PlainTextResponse(
                "This link was used or is too old; for a new one: modelyard ui", 403, fresh
            )
        self._used.add(ticket)
        return PlainTextResponse(sign_in.sign("session"), headers=fresh)


def _translate(headers: MutableHeaders, sign_in: SignIn) -> None:
    """The string itself instead of a session."""
    told, session = headers.get("authorization", ""), f"Basic {sign_in.sign('session')}"
    if hmac.compare_digest(told.encode(), session.encode()):
        headers["authorization"] = f"Basic {base64.b64encode(sign_in.auth.encode()).decode()}"
