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
from modelyard.inference.files import predict_files
from modelyard.serving.__main__ import read_options
from modelyard.serving.http.auth import Tokens
from modelyard.serving.http.exchange import Request, Response
from modelyard.serving.http.headers import EVERY_ANSWER
from modelyard.serving.page import files as page_files
from modelyard.serving.protocol.packing import pack
from tests.serving.bundles import IMAGE_SHAPE, Linear, release
from tests.serving.conftest import Serve, Server


def picture(size: tuple[int, int], kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_gets_the_same_answer_as_on_the_command_line(
    tmp_path: Path, serve: Serve, kind: str
) -> None:
    release(tmp_path / "releases", 1, Linear.seeded(4, (7, 5, 3)), "champion")
    (tmp_path / "p").write_bytes(picture((40, 30), kind))
    (expected,) = predict_files(Home(tmp_path), "fruit@champion", [tmp_path / "p"])
    server = serve(tmp_path / "releases", "--workers", "1")
    raw = server.client.post("/predict", content=(tmp_path / "p").read_bytes())
    form = server.client.post(
        "/predict?model=fruit", files={"image": ("p.png", (tmp_path / "p").read_bytes(), "image/png")}
    )
    for answer in (raw.json(), form.json()):
        assert (answer["label"], answer["model"], answer["version"]) == (expected["label"], "fruit", "1")
        assert answer["probability"] == pytest.approx(expected["probability"], abs=1e-6)
        assert (
            answer["probability"]
            == answer["probabilities"][answer["label"]]
            == max(answer["probabilities"].values())
        )
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
        "request_success", "count", "exec_count", "pending_request_count",
    )}  # fmt: skip
    assert found == {"request_success": 6, "count": 12, "exec_count": 6, "pending_request_count": 0}
    failed = {
        name[:-1].split("reason=")[1]: int(value)
        for name, value in samples.items()
        if "request_failure" in name
    }
    assert failed == {'"REJECTED"': 0, '"CANCELED"': 0, '"BACKEND"': 0, '"OTHER"': 6}
    spent = {part: int(samples[f"nv_inference_{part}_duration_us{labels}"]) for part in (
        "request", "queue", "compute_input", "compute_infer", "compute_output",
    )}  # fmt: skip
    assert 0 < spent["compute_infer"] < spent["request"]
    assert sum(spent.values()) - spent["request"] <= spent["request"]
    buckets = [
        int(value)
        for name, value in samples.items()
        if name.startswith("modelyard_request_duration_seconds_bucket")
    ]
    assert buckets == sorted(buckets) and buckets[-1] == 6
    assert samples[f"modelyard_request_duration_seconds_count{labels}"] == "6"


def test_tokens_guard_all_but_health_and_follow_their_file(
    releases: Path, serve: Serve, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    file.write_text("# ops\nfirst\n")
    server = serve(
        releases,
        "--workers",
        "1",
        "--token-file",
        str(file),
        "--poll-s",
        "0.02",
        "--origin",
        "https://app.example",
    )

    def status(path: str, authorization: str | None = None) -> int:
        headers = {"Authorization": authorization} if authorization else {}
        return server.client.get(path, headers=headers).status_code

    assert [status(path) for path in ("/v2/health/live", "/v2/health/ready", "/ping", "/health")] == [200] * 4
    assert [status(path) for path in ("/v2", "/metrics", "/models", "/v2/models/fruit")] == [401] * 4
    page = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    assert (
        server.client.options("/v2/models/fruit/infer", headers=page).status_code == 204
    )  # which can have no token
    refused = server.client.post("/v2/models/fruit/infer", headers=page)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (
        401,
        "https://app.example",
    )
    assert [status("/v2", text) for text in ("Bearer first", "bearer first")] == [200] * 2
    assert [
        status("/v2", text) for text in ("Bearer second", "Basic first", "first", "Bearer", "Bearer # ops")
    ] == [401] * 5
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
    index = "/v2/repository/index"
    for origin in (
        "http://evil.example",
        "null",
        server.url + "0",
        server.url.replace("http:", "https:") + ":1",
    ):
        assert client.post(index, headers={"Origin": origin}).status_code == 403
    assert client.post(index, headers={"Origin": server.url.upper()}).status_code == 200
    here = {"Origin": "http://localhost", "Host": "LOCALHOST:80"}
    assert client.post(index, headers=here).status_code == 200


def test_load_and_unload_are_for_those_who_may(
    client: httpx.Client, releases: Path, serve: Serve, tmp_path: Path
) -> None:
    """W1. While a champion is unloaded nothing answers in its place, and the server is not ready."""
    for order in ("load", "unload"):
        refused = client.post(f"/v2/repository/models/fruit/{order}")
        assert refused.status_code == 403 and "--allow-load" in refused.json()["error"]
    (tmp_path / "tokens").write_text("plain\nboss load\n")
    server = serve(releases, "--workers", "1", "--token-file", str(tmp_path / "tokens"))
    boss, plain = ({"Authorization": f"Bearer {token}"} for token in ("boss", "plain"))
    unload, load = (f"/v2/repository/models/fruit/{order}" for order in ("unload", "load"))
    assert [server.client.post(unload, headers=headers).status_code for headers in ({}, plain)] == [401, 403]
    assert server.client.post(unload, headers=boss).status_code == 200
    for path in ("/ping", "/health", "/v2/health/ready"):
        answer = server.client.get(path)
        assert answer.status_code == 503 and "'fruit' is unloaded" in answer.json()["error"], path
    pixels = {"instances": np.zeros((1, *IMAGE_SHAPE)).tolist()}
    assert server.client.post("/invocations", json=pixels, headers=plain).status_code == 503
    assert server.client.post("/predict", content=picture((9, 9)), headers=plain).status_code == 503
    assert server.client.post("/invocations?model=fruit-cnn", json=pixels, headers=plain).status_code == 200
    for path in ("/v2/models/fruit", "/v2/models/fruit/versions/1", "/v2/models/fruit/versions/2"):
        assert "'fruit' is unloaded" in server.client.get(path, headers=plain).json()["error"]  # W15
    for parameters, told in (
        ({"config": "{}"}, "'config'"),
        ({"file:1/model.onnx": "AAAA"}, "'file:1/model.onnx'"),
        ([], "list"),
    ):
        answer = server.client.post(load, json={"parameters": parameters}, headers=boss)  # W9
        assert answer.status_code == 400 and told in answer.json()["error"]
    assert server.client.post(load, json={"parameters": None}, headers=boss).status_code == 200
    assert server.client.post("/invocations", json=pixels, headers=plain).status_code == 200
    assert server.client.get("/v2/health/ready").json() == {
        "ready": True,
        "providers": ["CPUExecutionProvider"],
    }
    assert server.events("token file is open to others")  # L7


def test_a_right_that_is_none_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """L7: who may read the tokens, and who may call, is told at the start."""
    (tmp_path / "tokens").write_text("secret laod\n")
    with pytest.raises(ConfigError, match="expected TOKEN or TOKEN load in each line") as refused:
        Tokens(tmp_path / "tokens")
    assert "secret" not in str(refused.value)
    (tmp_path / "tokens").write_text("secret load\n")
    (tmp_path / "tokens").chmod(0o600)
    Tokens(tmp_path / "tokens")
    read_options(["--host", "0.0.0.0", "--token-file", "x"])
    read_options(["--host", "::1"])
    assert capfd.readouterr().err == ""
    for host in ("0.0.0.0", "::", "10.0.0.1", "some-name"):
        assert read_options(["--host", host]).host == host
        assert "open to the network" in capfd.readouterr().err
    for name in ("http://a", "a:80", "*", "", "-x"):
        with pytest.raises(ConfigError, match="expected a name without scheme and port"):
            read_options([f"--allowed-host={name}"])


def test_a_name_that_is_allowed_is_answered(releases: Path, serve: Serve) -> None:
    server = serve(
        releases, "--workers", "1", "--model", "fruit", "--allowed-host", "Models.example", "--allow-load"
    )

    def status(host: str) -> int:
        return server.client.post("/v2/repository/models/fruit/load", headers={"Host": host}).status_code

    assert [status(host) for host in ("models.example", "MODELS.example.:80", "localhost")] == [200] * 3
    assert [status(host) for host in ("a.models.example", "models.example.evil")] == [421] * 2


def test_no_path_or_query_is_a_fault(client: httpx.Client, server: Server) -> None:
    """L1: names that no file can have, wherever a name is asked for."""
    for name in ("a" * 300, "a" * 5000, "%00", "%ff%fe", "a%2f..%2fb", "%ed%a0%80", "\u0661"):
        for path in (
            f"/assets/{name}",
            f"/{name}",
            f"/v2/models/{name}",
            f"/v2/models/fruit/versions/{name}",
        ):
            assert client.get(path).status_code == 404, path
        for query in (f"model={name}", f"model=fruit&version={name}"):
            assert client.post(f"/predict?{query}", content=picture((9, 9))).status_code == 404, query
    assert client.get("/v2?" + "&a=b" * 5000).status_code == 200
    assert server.events("fault") == []


def test_no_answer_is_guessed_at(client: httpx.Client) -> None:
    """L18: every answer says that it is what it calls itself, once. And so it is with any other header."""
    answers = [
        client.get(path) for path in ("/", "/models", "/nothing", "/metrics", "/ping", "/openapi.json")
    ]
    answers += [client.post("/predict", content=b"x"), client.get("/v2", headers={"Host": "evil.example"})]
    assert EVERY_ANSWER[b"x-content-type-options"] == b"nosniff"
    for name, value in EVERY_ANSWER.items():
        for answer in answers:
            assert answer.headers.get_list(name.decode()) == [value.decode()], answer.url


@pytest.mark.parametrize(
    ("accepted", "used"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("br, gzip;q=0.5", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0.2, deflate;q=0.7", "deflate"),
        ("gzip;q=0, *", "deflate"),
        ("identity;q=0, gzip", "gzip"),
        ("gzip ; q=1.000", "gzip"),
        ("*;q=0.1", "gzip"),
        ("gzip, identity;q=1", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.0", None),
        ("gzip;q=0.000", None),
        ("br", None),
        ("", None),
        ("*;q=0", None),
        ("identity", None),
        ("gzip;q=0.5, identity;q=0.8", None),
        ("gzip;q=nan", None),
        ("gzip;q=7", None),
        ("identity;q=0", None),
        (",;,=", None),
        ("gzip;level=9", None),
    ],
)
def test_answers_are_packed_as_the_client_likes_it(
    client: httpx.Client, accepted: str, used: str | None
) -> None:
    """4: q-values of RFC 9110, 12.5.3."""
    answer = client.get("/models", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == used
    assert answer.json()[0]["name"] == "fruit"


@pytest.mark.parametrize(
    "path",
    [
        "/v2",
        "/v2/models/fruit",
        "/v2/models/fruit/config",
        "/v2/models/stats",
        "/v2/models/nobody",
        "/v2/" + "n" * 900,
        "/ping",
        "/version",
        "/" + "n" * 900,
    ],
)
def test_nothing_small_wrong_or_of_v2_is_packed(client: httpx.Client, path: str) -> None:
    """4: clients of Triton unpack answers of /infer alone."""
    assert "content-encoding" not in client.get(path, headers={"Accept-Encoding": "gzip, deflate"}).headers


def test_a_model_may_be_called_infer() -> None:
    answer = Response(200, [], b"x" * 900)
    pack(Request("GET", "/v2/models/infer", b"", {}, b""), answer, b"gzip")
    assert (answer.headers, answer.body) == ([], b"x" * 900)


@pytest.mark.parametrize(("count", "used"), [(30, "gzip"), (0, None)])
def test_answers_of_infer_are_packed_and_its_errors_are_not(
    client: httpx.Client, count: int, used: str | None
) -> None:
    entry = {"name": "images", "datatype": "UINT8", "shape": [count, *IMAGE_SHAPE], "data": [7] * 30 * count}
    answer = client.post(
        "/v2/models/fruit/infer", json={"inputs": [entry]}, headers={"Accept-Encoding": "gzip"}
    )
    assert (answer.status_code, answer.headers.get("content-encoding")) == (200 if count else 400, used)
    assert set(answer.json()) == ({"model_name", "model_version", "outputs"} if count else {"error"})


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


def test_the_page_is_served_with_a_policy_and_an_etag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_files, "FOLDER", tmp_path)
    (tmp_path / "index.html").write_text("<p>hello")
    (tmp_path / "page.js").write_text("1")
    page = page_files.page_file(Request("GET", "/", b"", {}, b""))
    headers = dict(page.headers)
    assert (page.status, page.body, headers[b"content-type"]) == (
        200,
        b"<p>hello",
        b"text/html; charset=utf-8",
    )
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    for known, status in ((b"%b", 304), (b"W/%b", 304), (b'"x", %b', 304), (b'"x%b', 200)):
        given = {b"if-none-match": known % (headers[b"etag"] if status == 304 else headers[b"etag"][1:])}
        assert page_files.page_file(Request("GET", "/", b"", given, b"")).status == status
    assert dict(page_files.page_file(Request("GET", "/assets/page.js", b"", {}, b"")).headers)[
        b"content-type"
    ].startswith(b"text/java")
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
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told.startswith("modelyard serves fruit at http://127.0.0.1:")
        url = told.split(" at ")[1].split()[0]
        assert [card["name"] for card in httpx.get(f"{url}/models").json()] == ["fruit"]
        process.terminate()
        assert process.wait(20) == 0
