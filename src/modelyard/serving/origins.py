"""Pages of which origins may ask (Fetch, CORS protocol): this server's own, and those that were named."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

from modelyard.errors import ConfigError, RequestError, quoted
from modelyard.serving.exchange import Request, Response
from modelyard.serving.hosts import HOST, plain_name

PORTS = {"http": 80, "https": 443}
SAFE_METHODS = frozenset({"GET", "HEAD"})
OWN_SITE, OTHER_SITE = frozenset({b"same-origin", b"none"}), frozenset({b"same-site", b"cross-site"})
PERMITTED = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (
        b"access-control-allow-headers",
        b"authorization, content-encoding, content-type, if-none-match, inference-header-content-length, x-request-id",
    ),
    (b"access-control-max-age", b"7200"),  # the most that Chromium takes
]
READABLE = (b"access-control-expose-headers", b"etag, inference-header-content-length, retry-after, x-request-id")


class Origin(NamedTuple):
    """One spelling for all that mean the same: without case, default port, final dot, long forms of IPv6."""

    scheme: str
    name: str
    port: int


def read_origin(text: str) -> Origin | None:
    """None for what is no origin of a web page: `null`, a path, another scheme."""
    scheme, _, authority = text.lower().partition("://")
    found = HOST.fullmatch(authority)
    if found is None or scheme not in PORTS:
        return None
    return Origin(scheme, plain_name(found[1]), int(found[2] or PORTS[scheme]))


def is_of_host(origin: Origin | None, host: str, scheme: str = "") -> bool:
    """Whether it is the origin of what a request with this Host asks; without a scheme the page's own is supposed."""
    return origin is not None and read_origin(f"{scheme or origin.scheme}://{host}") == origin


class Origins:
    """Those besides this server's own."""

    def __init__(self, urls: Iterable[str]) -> None:
        """Raises: ConfigError for what is no origin."""
        found = {url: read_origin(url.removesuffix("/")) for url in urls}
        if wrong := [url for url, origin in found.items() if origin is None or origin.port > 65535]:
            raise ConfigError(
                f"--origin {quoted(wrong[0])}: expected scheme, host and perhaps a port, as https://app.example.org"
            )
        self.named = frozenset(origin for origin in found.values() if origin)

    def check(self, head: Request) -> None:
        """No orders from a page of another site that this machine's browser happens to show.

        Sec-Fetch-Site is a browser's own word, which no page can write: it still holds where a proxy made another Host. It
        says nothing of whose name that is, so Host is looked at before. Raises: RequestError (403).
        """
        given = head.headers.get(b"origin", b"").decode("latin-1")
        if not given or head.method in SAFE_METHODS:
            return
        origin, site = read_origin(given), head.headers.get(b"sec-fetch-site", b"")
        if origin in self.named or site in OWN_SITE:
            return
        host, scheme = (head.headers.get(name, b"").decode("latin-1") for name in (b"host", b"x-forwarded-proto"))
        if site in OTHER_SITE or not is_of_host(origin, host, scheme if scheme in PORTS else ""):
            told = f"pages of another origin may give no orders: Origin is {quoted(given)}, Host {quoted(host)}"
            remedy = f"; if its pages may, start the server with --origin {given[:80]}" if origin else ""
            raise RequestError(told + remedy, HTTPStatus.FORBIDDEN)

    def preflight(self, request: Request) -> Response | None:
        """The answer to a browser that asks for leave before a page of a named origin may ask; None for anything else."""
        if request.method != "OPTIONS" or b"access-control-request-method" not in request.headers or not self._names(request):
            return None
        return Response(HTTPStatus.NO_CONTENT, [*PERMITTED], b"")

    def permit(self, request: Request, response: Response) -> None:
        """Let pages of named origins read this answer."""
        response.headers.append((b"vary", b"origin"))
        if self._names(request):
            response.headers += [(b"access-control-allow-origin", request.headers[b"origin"]), READABLE]

    def _names(self, request: Request) -> bool:
        return read_origin(request.headers.get(b"origin", b"").decode("latin-1")) in self.named
