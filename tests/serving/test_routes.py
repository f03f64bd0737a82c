"""Routes for people and operators: pictures, metrics, tokens, the page, compression and request ids."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from modelyard.errors import ConfigError, RequestError
from modelyard.home import Home
from modelyard.predict import predict_files
from modelyard.serving import page_files
from modelyard.serving.auth import Tokens
from modelyard.serving.exchange import Request
from tests.serving.bundles import IMAGE_SHAPE, Linear, release
from tests.serving.conftest import Serve, Server


def picture(size: tuple[int, int], kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_gets_the_same_answer_as_on_the_command_line(tmp_path: Path, serve: Serve, kind: str) -> None:
    release(tmp_path / "releases", 1, Linear.seeded(4, (7, 5, 3)), "champion")
    (tmp_path / "p").write_bytes(picture((40, 30), kind))
    (expected,) = predict_files(Home(tmp_path), "fruit@champion", [tmp_path / "p"])
    server = serve(tmp_path / "releases", "--workers", "1")
    raw = server.client.post("/predict", content=(tmp_path / "p").read_bytes())
    form = server.client.post("/predict?model=fruit", files={"image": ("p.png", (tmp_path / "p").read_bytes(), "image/png")})
    for answer in (raw.json(), form.json()):
        assert (answer["label"], answer["model"], answer["version"]) == (expected["label"], "fruit", "1")
        assert answer["probability"] == pytest.approx(expected["probability"], abs=1e-6)
        assert answer["probability"] == answer["probabilities"][answer["label"]] == max(answer["probabilities"].values())
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["ms"] > 0


def test_metrics_have_tritons_names_and_add_up(releases: Path, serve: Serve) -> None:
    server = serve(releases, "--workers", "2", "--model", "quirky")
    entry = {"name": "images", "datatype": "UINT8", "shape": [2, *IMAGE_SHAPE], "data": [7] * 60}
    for _ in range(6):  # a new connection each time: both workers count
        assert httpx.post(f"{server.url}/v2/models/quirky/infer", json={"inputs": [entry]}).status_code == 200
        assert httpx.post(f"{server.url}/v2/models/quirky/infer", json={}).status_code == 400
    text = server.client.get("/metrics").text
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    labels = '{model="quirky",version="1"}'
    found = {name: int(samples[f"nv_inference_{name}{labels}"]) for name in (
        "request_success", "request_failure", "count", "exec_count", "pending_request_count",
    )}  # fmt: skip
    assert found == {"request_success": 6, "request_failure": 6, "count": 12, "exec_count": 6, "pending_request_count": 0}
    spent = {part: int(samples[f"nv_inference_{part}_duration_us{labels}"]) for part in (
        "request", "queue", "compute_input", "compute_infer", "compute_output",
    )}  # fmt: skip
    assert 0 < spent["compute_infer"] < spent["request"]
    assert sum(spent.values()) - spent["request"] <= spent["request"]
    buckets = [int(value) for name, value in samples.items() if name.startswith("modelyard_request_duration_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == 6
    assert samples[f"modelyard_request_duration_seconds_count{labels}"] == "6"


def test_tokens_guard_all_but_health_and_follow_their_file(releases: Path, serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# ops\nfirst\n")
    server = serve(releases, "--workers", "1", "--token-file", str(file), "--poll-s", "0.02")

    def status(path: str, authorization: str | None = None) -> int:
        headers = {"Authorization": authorization} if authorization else {}
        return server.client.get(path, headers=headers).status_code

    assert [status(path) for path in ("/v2/health/live", "/v2/health/ready", "/ping", "/health")] == [200] * 4
    assert [status(path) for path in ("/v2", "/metrics", "/models", "/v2/models/fruit")] == [401] * 4
    assert [status("/v2", text) for text in ("Bearer first", "bearer first")] == [200] * 2
    assert [status("/v2", text) for text in ("Bearer second", "Basic first", "first", "Bearer", "Bearer # ops")] == [401] * 5
    file.write_text("second\n")
    server.wait_for(lambda: status("/v2", "Bearer second") == 200 and status("/v2", "Bearer first") == 401)
    file.unlink()
    server.wait_for(lambda: bool(server.events("token file ignored")))
    assert status("/v2", "Bearer second") == 200


def test_an_empty_token_file_starts_no_server(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("# none\n")
    with pytest.raises(ConfigError, match="it has no token; write one token a line"):
        Tokens(tmp_path / "tokens")


def test_pages_of_other_origins_cannot_give_orders(client: httpx.Client, server: Server) -> None:
    load = "/v2/repository/models/fruit/load"
    assert client.post(load, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post(load, headers={"Origin": server.url}).status_code == 200


def test_answers_are_compressed_when_asked(client: httpx.Client) -> None:
    for accepted, used in (
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("br, gzip;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("br", None),
    ):
        answer = client.get("/models", headers={"Accept-Encoding": accepted})
        assert answer.headers.get("content-encoding") == used
        assert answer.json()[0]["name"] == "fruit"


def test_request_ids_are_echoed_or_made(client: httpx.Client) -> None:
    assert client.get("/v2", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = [client.get("/v2", headers={"X-Request-Id": "x" * 200}).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1] and all(len(one) < 40 for one in made)


def test_the_access_log_has_a_line_a_request(releases: Path, serve: Serve) -> None:
    server = serve(releases, "--workers", "1", "--access-log")
    server.client.get("/nothing?x=1", headers={"X-Request-Id": "abc"})
    server.wait_for(lambda: bool(server.events("request")))
    (line,) = server.events("request")
    assert (line["id"], line["method"], line["path"], line["status"]) == ("abc", "GET", "/nothing", 404)


def test_head_and_wrong_methods(client: httpx.Client) -> None:
    head = client.head("/v2")
    assert (head.status_code, head.content) == (200, b"")
    assert client.post("/v2").status_code == 405
    assert client.get("/v2/repository/index").status_code == 405


def test_the_page_is_served_with_a_policy_and_an_etag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_files, "FOLDER", tmp_path)
    (tmp_path / "index.html").write_text("<p>hello")
    (tmp_path / "page.js").write_text("1")
    page = page_files.page_file(Request("GET", "/", b"", {}, b""))
    headers = dict(page.headers)
    assert (page.status, page.body, headers[b"content-type"]) == (200, b"<p>hello", b"text/html; charset=utf-8")
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    again = page_files.page_file(Request("GET", "/", b"", {b"if-none-match": headers[b"etag"]}, b""))
    assert (again.status, again.body) == (304, b"")
    assert dict(page_files.page_file(Request("GET", "/assets/page.js", b"", {}, b"")).headers)[b"content-type"].startswith(
        b"text/java"
    )
    for path in ("/assets/nothing.js", "/assets/", "/assets/../auth.py", "/assets/..", "/assets/a/b"):
        with pytest.raises(RequestError, match="nothing at"):
            page_files.page_file(Request("GET", path, b"", {}, b""))


def test_the_command_line_starts_the_lean_server(releases: Path, tmp_path: Path) -> None:
    (tmp_path / "releases").symlink_to(releases)
    command = [
        sys.executable,
        "-m",
        "modelyard",
        "serve",
        "--model",
        "fruit",
        "--alias",
        "champion",
        "--port",
        "0",
        "--workers",
        "1",
    ]
    environment = os.environ | {"MODELYARD_HOME": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told.startswith("modelyard serves fruit at http://127.0.0.1:")
        url = told.split(" at ")[1].split()[0]
        assert [card["name"] for card in httpx.get(f"{url}/models").json()] == ["fruit"]
        process.terminate()
        assert process.wait(20) == 0
