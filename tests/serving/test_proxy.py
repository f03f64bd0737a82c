"""Behind a proxy: the real nginx with the documented configuration, hosts and origins as they mean, CORS,
forwarded clients.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from modelyard.errors import ConfigError, RequestError
from modelyard.serving.__main__ import read_options
from modelyard.serving.http.exchange import Request
from modelyard.serving.http.http_message import incoming
from modelyard.serving.http.origins import Origins, is_of_host, read_origin
from modelyard.serving.http.places import client_of
from tests.serving.conftest import Server, running
from tests.serving.test_supervisor import INFER, question, raw

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
DOCUMENT = Path(__file__).parents[2] / "docs" / "deploy.md"
APP, NAME = "https://app.example.org", "models.example.org"


@pytest.fixture(scope="module")
def proxied(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that knows a site, a name and a proxy."""
    options = (
        "--origin",
        f"{APP}:443/",
        "--allowed-host",
        NAME,
        "--trusted-proxy",
        "127.0.0.1",
        "--access-log",
    )
    with running(releases, tmp_path_factory.mktemp("proxied") / "log", "--workers", "1", *options) as server:
        yield server


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@contextmanager
def nginx(folder: Path, servers: str) -> Iterator[None]:
    """A real nginx in the foreground, without workers, with everything that it writes in one folder."""
    temporary = "\n".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    around = f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
    (folder / "nginx.conf").write_text(f"{around}http {{ access_log off;\n{temporary}\n{servers}\n}}\n")
    command = [str(NGINX), "-e", f"{folder}/error.log", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def proxies(proxied: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Ports of the documented server, of one that leaves Host to nginx, and of one that passes it on without
    port.
    """
    documented, default, host = free_ports(3)
    snippet = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[0]
    snippet = snippet.replace("127.0.0.1:9700", proxied.address).replace(
        "listen 80;", f"listen 127.0.0.1:{documented};"
    )
    for port, line in ((default, ""), (host, "proxy_set_header Host $host;")):
        snippet += (
            f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {proxied.url}; {line} }} }}\n"
        )
    with nginx(tmp_path_factory.mktemp("nginx"), snippet):
        for port in (documented, default, host):
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with closing(socket.socket()) as tried:
                    if not tried.connect_ex(("127.0.0.1", port)):
                        break
        yield {"documented": documented, "default": default, "host": host}


def chromium(origin: str, site: str | None = "same-origin") -> dict[str, str]:
    """Headers of the order that the page gives in Chromium; over plain HTTP, but to this machine, it sends no
    Sec-Fetch-*.
    """
    sent = {
        "Origin": origin,
        "Referer": f"{origin}/",
        "Content-Type": "application/json",
        "User-Agent": "Mozilla/5.0 Chrome",
    }
    return sent | (
        {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"} if site else {}
    )


needs_nginx = pytest.mark.skipif(
    NGINX is None, reason="no nginx on this machine; apt-get install nginx-light"
)


@needs_nginx
@pytest.mark.parametrize("prefix", ["/", "/digits-app/"])
def test_the_documented_proxy_serves_the_page_and_its_orders_below_any_prefix(
    proxied: Server, proxies: dict[str, int], prefix: str
) -> None:
    site = f"http://{NAME}:{proxies['documented']}"
    with httpx.Client(base_url=f"http://127.0.0.1:{proxies['documented']}") as client:
        client.headers["Host"] = site.removeprefix("http://")
        page = client.get(prefix)
        links = re.findall(r'(?:href|src)="([^#"]+)"', page.text)
        assert len(links) == 7 and not [link for link in links if link.startswith("/")]
        for link in links:
            assert client.get(prefix + link).status_code == 200, link
        assert client.get(f"{prefix}openapi.json").json()["servers"] == [{"url": "."}]
        for fetch in ("same-origin", None):
            assert (
                client.post(prefix + INFER[1:], json=question(), headers=chromium(site, fetch)).status_code
                == 200
            )
        for other in (
            chromium(site, "cross-site"),
            chromium("http://evil.example", None),
            chromium(f"https://{NAME}", None),
        ):
            assert client.post(prefix + INFER[1:], json=question(), headers=other).status_code == 403
        if prefix != "/":
            assert client.get(prefix[:-1], follow_redirects=False).headers["location"].endswith(prefix)
        rebound = client.post(
            prefix + INFER[1:],
            json=question(),
            headers=chromium("http://evil.example") | {"Host": "evil.example"},
        )
        assert rebound.status_code == 421


@needs_nginx
def test_a_large_body_passes_and_the_log_names_the_client(proxied: Server, proxies: dict[str, int]) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Request-Id": "large"}
    address = f"http://127.0.0.1:{proxies['documented']}/predict?model=fruit"
    answer = proxied.client.post(address, content=bytes(3_000_000), headers=forwarded)
    assert answer.status_code == 400 and "not readable" in answer.text, answer.text  # ours, not nginx' 413
    proxied.wait_for(lambda: any(line["id"] == "large" for line in proxied.events("request")))
    assert [line["client"] for line in proxied.events("request") if line["id"] == "large"] == ["203.0.113.9"]


@needs_nginx
@pytest.mark.parametrize("kind", ["default", "host"])
def test_a_browsers_word_holds_where_the_proxy_writes_another_host(
    proxied: Server, proxies: dict[str, int], kind: str
) -> None:
    """B6: nginx' own Host, and `$host`, which has no port."""
    origin = f"http://localhost:{proxies[kind]}"

    def order(headers: dict[str, str]) -> httpx.Response:
        address = f"http://127.0.0.1:{proxies[kind]}{INFER}"
        return proxied.client.post(address, json=question(), headers={"Host": origin[7:]} | headers)

    assert order(chromium(origin)).status_code == 200
    for other in ("same-site", "cross-site", None):
        refused = order(chromium(origin, other))
        assert refused.status_code == 403 and origin in refused.text and f"--origin {origin}" in refused.text
    assert order(chromium(APP, "cross-site")).status_code == 200


ORIGINS = [
    ("http://models.example", "models.example:80", True),
    ("https://models.example", "models.example:443", True),
    ("https://models.example.org:443", "MODELS.example.org.", True),
    ("http://localhost:9700", "LOCALHOST:9700", True),
    ("http://[::1]:9700", "[0:0:0:0:0:0:0:1]:9700", True),
    ("http://models.example.org.", "models.example.org", True),
    ("https://models.example", "models.example:80", False),
    ("http://models.example", "models.example:443", False),
    ("http://localhost:97", "localhost:9700", False),
    ("null", "null", False),
    ("file://", "", False),
    ("http://", "", False),
    ("http://a.example/", "a.example", False),
    ("http://me@a.example", "a.example", False),
    ("ftp://a", "a", False),
    ("http://a:99999", "a:99999", False),
    ("http://a http://b", "a", False),
]


@pytest.mark.parametrize(("origin", "host", "same"), ORIGINS)
def test_an_origin_and_a_host_are_compared_as_they_mean(origin: str, host: str, same: bool) -> None:
    assert is_of_host(read_origin(origin), host) is same


def test_a_trusted_proxy_tells_the_scheme_and_nobody_else() -> None:
    def order(scheme: bytes, *, by_proxy: bool) -> bool:
        headers = {b"origin": b"http://a.example", b"host": b"a.example", b"x-forwarded-proto": scheme}
        try:
            Origins(()).check(Request("POST", "/", b"", headers, b""), by_proxy=by_proxy)
        except RequestError:
            return False
        return True

    assert order(b"http", by_proxy=True) and order(b"nonsense", by_proxy=True) and order(b"", by_proxy=True)
    assert not order(b"https", by_proxy=True) and order(b"https", by_proxy=False)


@pytest.mark.parametrize(
    ("peer", "told", "client"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9,10.0.0.7", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("fd00::1", "[2001:db8::7]:443", "2001:db8::7"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, <script>, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("10.0.0.1", ", ".join(["203.0.113.9", *["10.0.0.2"] * 3000]), "10.0.0.2"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_client_is_the_last_that_is_no_trusted_proxy(peer: str, told: str, client: str) -> None:
    assert client_of(peer, told.encode(), (ip_network("10.0.0.0/8"), ip_network("fd00::/16"))) == client


def test_lines_of_one_name_are_one_list_and_strangers_are_not_believed(
    proxied: Server, server: Server
) -> None:
    lines = (
        b"x-forwarded-for: 198.51.100.1\r\nx-forwarded-for: 203.0.113.9\r\nX-Forwarded-For: "
        b"127.0.0.1\r\nx-request-id: two\r\n"
    )
    ask = b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n%b\r\n"
    assert raw(proxied, ask % lines).startswith(b"HTTP/1.1 200")
    proxied.wait_for(lambda: any(line["id"] == "two" for line in proxied.events("request")))
    assert next(line["client"] for line in proxied.events("request") if line["id"] == "two") == "203.0.113.9"
    assert raw(proxied, ask % (b"x-forwarded-for: a\r\n" * 1500)).startswith(b"HTTP/1.1 200")


def headers_of(answer: httpx.Response, names: Sequence[str]) -> list[str | None]:
    return [answer.headers.get(f"access-control-{name}") for name in names]


def test_pages_of_a_named_site_may_ask_and_read_and_no_others(proxied: Server, client: httpx.Client) -> None:
    """Case 15: preflight, answers and errors; nothing is opened that was not named."""
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    leave = proxied.client.options(INFER, headers=asked | {"Origin": APP, "Sec-Fetch-Site": "cross-site"})
    assert (leave.status_code, leave.content) == (204, b"") and "content-length" not in leave.headers
    assert leave.headers["access-control-allow-origin"] == APP and "origin" in leave.headers["vary"]
    methods, headers, age = headers_of(leave, ["allow-methods", "allow-headers", "max-age"])
    assert {"GET", "POST"} <= set((methods or "").split(", ")) and int(age or 0) > 0
    assert {"authorization", "content-type", "inference-header-content-length"} <= set(
        (headers or "").split(", ")
    )
    assert "access-control-allow-credentials" not in leave.headers
    for path, content, status in ((INFER, question(), 200), (INFER, {}, 400), ("/nothing", {}, 404)):
        answer = proxied.client.post(
            path, json=content, headers={"Origin": APP, "Sec-Fetch-Site": "cross-site"}
        )
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, APP)
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
    head = f"POST {INFER} HTTP/1.1\r\nhost: localhost\r\norigin: {APP}\r\ncontent-length: 99999999\r\n\r\n"
    refused = raw(proxied, head.encode())
    assert refused.startswith(b"HTTP/1.1 413") and f"access-control-allow-origin: {APP}".encode() in refused
    assert "origin" in proxied.client.get("/v2").headers["vary"]
    for other in (
        "http://app.example.org",
        f"{APP}:8443",
        f"{APP}.evil.example",
        "null",
        "https://b.app.example.org",
    ):
        for method in ("GET", "POST", "OPTIONS"):
            answer = proxied.client.request(method, INFER, headers=asked | {"Origin": other})
            assert "access-control-allow-origin" not in answer.headers
            assert answer.status_code == (405 if method == "GET" else 403)
    closed = client.options(INFER, headers=asked | {"Origin": APP})
    assert (
        closed.status_code == 403
        and f"--origin {APP}" in closed.text
        and "origin" not in closed.headers.get("vary", "")
    )
    assert proxied.client.post(INFER, json=question(), headers={"Host": "app.example.org"}).status_code == 200
    rebound = proxied.client.options(INFER, headers=asked | {"Origin": APP, "Host": "evil.example"})
    assert rebound.status_code == 421


@pytest.mark.parametrize(
    "url",
    [
        "app.example.org",
        "https://",
        "null",
        "*",
        "https://*.example.org",
        "https://a/b",
        "https://me@a",
        "https://a:99999",
        "",
    ],
)
def test_an_origin_that_is_none_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(ConfigError, match=r"--origin .*expected scheme, host"):
        read_options(["--origin", url])


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v2/models/digits%2Fready", 404),
        ("/v2/models/fruit%2fready", 404),
        ("/v2/models/fruit%2Fversions%2F1", 404),
        ("/v2%2Fhealth/live", 404),
        ("/v2/models/fruit/%72eady", 200),
        ("/v2/h%65alth/live", 200),
        ("/v2/models/%66ruit", 200),
        ("/v2/models/fruit%252Fready", 404),
        ("/assets/%2e%2e%2fauth.py", 404),
        ("/%2e%2e/v2", 404),
        ("/v2/../metrics", 404),
        ("//v2/health/live", 404),
        ("/v2//health/live", 404),
        ("/v2/health/live/", 404),
        ("/ping/", 404),
        ("/v2/models/fruit/", 404),
        ("/v2/models/fruit/ready/", 404),
        ("/v2/", 200),
        ("/v2/models/fruit%00", 404),
        ("/%00", 404),
        ("/v2/models/%zz", 404),
        ("/v2/health/live%3Fx", 404),
        ("/v2/health/live?a=%2F/..//", 200),
        ("/favicon.ico", 200),
    ],
)
def test_a_path_is_split_before_it_is_decoded(proxied: Server, target: str, status: int) -> None:
    for method in ("GET", "HEAD"):
        answered = raw(
            proxied, f"{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
        )
        assert answered.startswith(b"HTTP/1.1 %d " % status), (method, answered)


def test_an_encoded_slash_orders_nothing(proxied: Server) -> None:
    for path in (
        "/v2/models/fruit%2Finfer",
        "/v2/models%2Ffruit/infer",
        "/v2/repository%2Fmodels/fruit/unload",
    ):
        assert proxied.client.post(path, json=question()).status_code in (404, 405)
    assert incoming(b"GET", b"/a%2fb%41/%2E%2e", {b"host": b"x"}, "1.1").path == "/a%2FbA/.."


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/ping",
        "/health",
        "/version",
        "/v2",
        "/v2/",
        "/v2/health/live",
        "/v2/health/ready",
        "/openapi.json",
    ],
)
def test_probes_may_use_head(proxied: Server, path: str) -> None:
    get, head = proxied.client.get(path), proxied.client.head(path, headers={"Origin": "http://evil.example"})
    assert (get.status_code, head.status_code, head.content) == (200, 200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
