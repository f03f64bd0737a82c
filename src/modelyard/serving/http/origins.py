"""Which web pages may call this server (Fetch, CORS protocol): its own, and those of the origins that were
named.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from modelyard.errors import ConfigError, RequestError, quoted
from modelyard.serving.http.exchange import Request, Response
from modelyard.serving.http.hosts import HOST, plain_name

PORTS = {"http": 80, "https": 443}
HEADERS = b"authorization, content-encoding, content-type, inference-header-content-length, x-request-id"
LEAVE = {b"allow-methods": b"GET, HEAD, POST", b"allow-headers": HEADERS, b"max-age": b"7200"}
READABLE = (b"access-control-expose-headers", b"inference-header-content-length, retry-after, x-request-id")


Origin = tuple[str, str, int]
"""Scheme, name and port in canonical form."""


def read_origin(text: str) -> Origin | None:
    """The origin of a URL; None for `null`, an address with a path, or another scheme than http and https."""
    scheme, _, authority = text.lower().partition("://")
    found = HOST.fullmatch(authority)
    if found is None or scheme not in PORTS or int(found[2] or 0) > 65535:
        return None
    return scheme, plain_name(found[1]), int(found[2] or PORTS[scheme])


def is_of_host(origin: Origin | None, host: str, scheme: str = "") -> bool:
    """Whether a request with this Host goes to this origin; an unknown scheme is taken for the page's own."""
    return origin is not None and read_origin(f"{scheme or origin[0]}://{host}") == origin


class Origins:
    """The named origins."""

    def __init__(self, urls: Iterable[str]) -> None:
        """Raises: ConfigError for a value that is not an origin."""
        found = {url: read_origin(url.removesuffix("/")) for url in urls}
        if wrong := [url for url, origin in found.items() if origin is None]:
            raise ConfigError(
                f"--origin {quoted(wrong[0])}: expected scheme, host and perhaps a port: https://app.example.org"
            )
        self.named = frozenset(origin for origin in found.values() if origin)

    def check(self, head: Request, *, by_proxy: bool) -> None:
        """Refuse requests that another site's page makes in a browser on this machine.

        Sec-Fetch-Site is set by the browser and cannot be set by a page, and it stays right where a proxy
        changes Host. It does not say which name was asked for, so Host is checked before. Raises:
        RequestError (403).
        """
        if not head.headers.get(b"origin") or head.method in {"GET", "HEAD"}:
            return
        names = (b"origin", b"host", b"sec-fetch-site", b"x-forwarded-proto")
        given, host, site, scheme = (head.headers.get(name, b"").decode("latin-1") for name in names)
        origin = read_origin(given)
        if origin in self.named or site in {"same-origin", "none"}:
            return
        if site in {"same-site", "cross-site"} or not is_of_host(
            origin, host, scheme if by_proxy and scheme in PORTS else ""
        ):
            told = f"refused: a page of another origin asks: Origin is {quoted(given)}, Host {quoted(host)}"
            remedy = f"; if its pages may, start the server with --origin {given[:80]}" if origin else ""
            raise RequestError(told + remedy, HTTPStatus.FORBIDDEN)

    def preflight(self, request: Request) -> Response | None:
        """The answer to a preflight request of a named origin; None for any other OPTIONS request."""
        if b"access-control-request-method" not in request.headers or not self._names(request):
            return None
        return Response(
            HTTPStatus.NO_CONTENT, [(b"access-control-" + name, value) for name, value in LEAVE.items()], b""
        )

    def permit(self, request: Request, response: Response) -> None:
        """Add the headers that let pages of named origins read this answer."""
        response.headers.append((b"vary", b"origin"))
        if self._names(request):
            response.headers += [(b"access-control-allow-origin", request.headers[b"origin"]), READABLE]

    def _names(self, request: Request) -> bool:
        return read_origin(request.headers.get(b"origin", b"").decode("latin-1")) in self.named
