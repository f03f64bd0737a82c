"""What is counted: every answer and refusal of every route and connection, failures as Triton names them,
batches by size.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections import Counter
from contextlib import ExitStack, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from modelyard.errors import RequestError
from modelyard.serving.processes import metrics
from modelyard.serving.processes.exposition import statistics
from tests.serving.bundles import IMAGE_SHAPE, PIXELS
from tests.serving.conftest import Serve, Server

INFER = b"POST /v2/models/fruit/infer HTTP/1.1\r\nhost: localhost\r\nauthorization: bearer secret\r\n"
REFUSED: dict[bytes, tuple[str, int]] = {
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": ("http", 400),  # TLS to a port that speaks none
    b"GET / HTTP/1.1\r\n\r\n": ("http", 400),
    b"GET / HTTP/1.1\r\nhost: localhost\r\nexpect: wonders\r\n\r\n": ("http", 417),
    b"GET / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip\r\n\r\n": ("http", 501),
    b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 40_000 + b"\r\n\r\n": ("too_large", 431),
    b"GET / HTTP/1.1\r\nhost: rebound.example\r\n\r\n": ("host", 421),
    b"GET / HTTP/1.1\r\nhost: local": ("slow_client", 408),
    b"GET /models HTTP/1.1\r\nhost: localhost\r\n\r\n": ("token", 401),
    INFER + b"origin: http://elsewhere.example\r\ncontent-length: 0\r\n\r\n": ("origin", 403),
    INFER + b"content-length: 999999999\r\n\r\n": ("too_large", 413),
    INFER + b"content-length: 2\r\n\r\n{}": ("bad_input", 400),
    INFER + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n{}": ("bad_input", 415),
    INFER.replace(b"POST", b"GET") + b"\r\n": ("method", 405),
    INFER.replace(b"fruit", b"ghost") + b"content-length: 2\r\n\r\n{}": ("not_found", 404),
    INFER.replace(b"/v2/models/fruit/infer", b"/nowhere") + b"content-length: 0\r\n\r\n": ("not_found", 404),
    INFER.replace(b"/v2/models/fruit/infer", b"/invocations") + b"content-length: 0\r\n\r\n": (
        "bad_input",
        415,
    ),
    INFER.replace(b"/v2/models/fruit/infer", b"/v2/repository/models/fruit/unload")
    + b"content-length: 0\r\n\r\n": ("load", 403),
}


def scraped(server: Server, name: str) -> dict[str, float]:
    """Values of a metric by what stands in its braces; those that are not 0."""
    found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", server.client.get("/metrics").text, re.MULTILINE)
    return {labels: float(value) for labels, value in found if float(value)}


def test_every_refusal_is_counted_by_its_reason(releases: Path, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret\n")
    (tmp_path / "tokens").chmod(0o600)
    options = ("--workers", "2", "--token-file", str(tmp_path / "tokens"), "--read-timeout-s", "0.3")
    server = serve(releases, *options, "--max-connections", "40", "--max-body-bytes", "100000")
    server.client.headers["authorization"] = "Bearer secret"
    with ExitStack() as stack:
        host, port = server.address.split(":")
        for asked, (_, status) in REFUSED.items():  # a connection each: both workers count
            one = stack.enter_context(socket.create_connection((host, int(port)), 10))
            one.sendall(asked)
            assert one.recv(4096)[9:12] == b"%d" % status, asked
    expected = Counter(f'reason="{reason}"' for reason, _ in REFUSED.values())
    assert scraped(server, "modelyard_refused_requests_total") == expected
    classes = Counter(f'class="{status // 100}xx"' for _, status in REFUSED.values())
    answers = scraped(server, "modelyard_answers_total")
    assert answers == classes | {'class="2xx"': 1}, "and the scrape before this one"


def test_every_status_of_a_refusal_has_its_reason() -> None:
    sources = "".join(path.read_text() for path in Path(metrics.__file__).parent.glob("*.py"))
    statuses = {HTTPStatus[name] for name in re.findall(r"HTTPStatus\.([A-Z_]+)", sources)}
    assert {int(status) for status in statuses if status >= HTTPStatus.BAD_REQUEST} <= metrics.REFUSALS.keys()
    assert metrics.REFUSED + len(metrics.REASONS) <= metrics.WORKER_FIELDS


def test_connections_beyond_the_limit_are_counted(releases: Path, serve: Serve) -> None:
    server = serve(releases, "--workers", "1", "--max-connections", "1")
    assert server.client.get("/v2/health/live").status_code == 200
    for _ in range(3):
        with suppress(httpx.HTTPError):  # the answer may meet a reset
            assert httpx.get(f"{server.url}/v2/health/live").status_code == 503
    assert scraped(server, "modelyard_refused_requests_total") == {'reason="connections"': 3}
    assert scraped(server, "modelyard_answers_total") == {'class="2xx"': 2, 'class="5xx"': 3}


def test_which_version_answers_and_whether_it_is_ready(server: Server) -> None:
    assert scraped(server, "modelyard_ready") == {"": 1}
    assert scraped(server, "modelyard_served_version").keys() == {
        'model="fruit",version="1",alias="champion"', 'model="fruit-cnn",version="1",alias="cnn"',
        'model="fruit-rnn",version="2",alias="rnn"', 'model="quirky",version="1",alias="champion"',
    }  # fmt: skip


@pytest.mark.parametrize("rows", [1, 32, 65, 100, 1000])
def test_batches_are_filed_under_their_size(server: Server, rows: int) -> None:
    def batches() -> dict[int, dict[str, dict[str, int]]]:
        (stats,) = server.client.get("/v2/models/fruit/versions/1/stats").json()["model_stats"]
        return {batch.pop("batch_size"): batch for batch in stats["batch_stats"]}

    before = batches().get(rows)
    entry = {
        "name": "images",
        "datatype": "UINT8",
        "shape": [rows, *IMAGE_SHAPE],
        "data": [0] * rows * PIXELS,
    }
    assert (
        server.client.post("/v2/models/fruit/versions/1/infer", json={"inputs": [entry]}).status_code == 200
    )
    after = batches()[rows]
    assert set(after) == {"compute_input", "compute_infer", "compute_output"}
    for part, duration in after.items():
        assert duration["count"] == (before[part]["count"] if before else 0) + 1 and duration["ns"] > 0


def test_more_sizes_than_places_take_no_more_memory() -> None:
    """Each of the first sizes keeps its own count, also in the worker that takes over; all others are told as
    size 0.
    """
    memory = metrics.allocate(1)
    for _ in range(2):
        counters = metrics.WorkerMetrics(memory, 0).counters("fruit", "1")
        sizes = metrics.BatchSizes(counters)
        for size in range(1000, 0, -1):
            counters[sizes[size] + 1] += 1
    (stats,) = cast(Any, statistics(metrics.totals(memory))["model_stats"])
    found = {batch["batch_size"]: batch["compute_infer"]["count"] for batch in stats["batch_stats"]}
    kept = metrics.BATCH_SIZES - 1
    assert found == {0: 2 * (1000 - kept), **dict.fromkeys(range(1000, 1000 - kept, -1), 2)}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RequestError("the model is overloaded", 503), "REJECTED"),
        (RequestError("timed out in the queue", 504), "REJECTED"),
        (asyncio.CancelledError(), "CANCELED"),
        (RequestError("the model failed", 500), "BACKEND"),
        (RequestError("no such input"), "OTHER"),
        (RequestError("too many", 413), "OTHER"),
        (ValueError("a fault"), "OTHER"),
    ],
)
def test_failures_have_tritons_reasons(error: BaseException, reason: str) -> None:
    memory = metrics.allocate(1)
    counters = metrics.WorkerMetrics(memory, 0).counters("fruit", "1")
    with suppress(type(error)), metrics.Counted(counters):
        raise error
    failures = counters[metrics.FAILURES :][: len(metrics.FAILURE_REASONS)].tolist()
    assert failures == [int(name == reason) for name in metrics.FAILURE_REASONS]
    (stats,) = cast(Any, statistics(metrics.totals(memory))["model_stats"])
    told = stats["inference_stats"]
    assert told["fail"]["count"] == 1 and told["fail"]["ns"] > 0 and told["success"] == {"count": 0, "ns": 0}
