"""Pages of which origins may ask (Fetch, CORS protocol): this server's own, and those that were named."""

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
"""Scheme, name and port, in one spelling for all that mean the same."""


def read_origin(text: str) -> Origin | None:
    """None for what is no origin of a web page: `null`, a path, another scheme."""
    scheme, _, authority = text.lower().partition("://")
    found = HOST.fullmatch(authority)
    if found is None or scheme not in PORTS or int(found[2] or 0) > 65535:
        return None
    return scheme, plain_name(found[1]), int(found[2] or PORTS[scheme])


def is_of_host(origin: Origin | None, host: str, scheme: str = "") -> bool:
    """Whether a request with this Host asks a server of this origin; its scheme is the page's own where none
    is known.
    """
    return origin is not None and read_origin(f"{scheme or origin[0]}://{host}") == origin


class Origins:
    """Those besides this server's own."""

    def __init__(self, urls: Iterable[str]) -> None:
        """Raises: ConfigError for what is no origin."""
        found = {url: read_origin(url.removesuffix("/")) for url in urls}
        if wrong := [url for url, origin in found.items() if origin is None]:
            raise ConfigError(
                f"--origin {quoted(wrong[0])}: expected scheme, host and perhaps a port: https://app.example.org"
            )
        self.named = frozenset(origin for origin in found.values() if origin)

    def check(self, head: Request, *, by_proxy: bool) -> None:
        """No orders from a page of another site that this machine's browser happens to show.

        Sec-Fetch-Site is a browser's own word, which no page can write: it still holds where a proxy made
        another Host. It says nothing of whose name that is, so Host is looked at before. Raises: RequestError
        (403).
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
            told = (
                f"pages of another origin may give no orders: Origin is {quoted(given)}, Host {quoted(host)}"
            )
            remedy = f"; if its pages may, start the server with --origin {given[:80]}" if origin else ""
            raise RequestError(told + remedy, HTTPStatus.FORBIDDEN)

    def preflight(self, request: Request) -> Response | None:
        """Leave for a page of a named origin to ask; None for OPTIONS that asks for none."""
        if b"access-control-request-method" not in request.headers or not self._names(request):
            return None
        return Response(
            HTTPStatus.NO_CONTENT, [(b"access-control-" + name, value) for name, value in LEAVE.items()], b""
        )

    def permit(self, request: Request, response: Response) -> None:
        """Let pages of named origins read this answer."""
        response.headers.append((b"vary", b"origin"))
        if self._names(request):
            response.headers += [(b"access-control-allow-origin", request.headers[b"origin"]), READABLE]

    def _names(self, request: Request) -> bool:
        return read_origin(request.headers.get(b"origin", b"").decode("latin-1")) in self.named
