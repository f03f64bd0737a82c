"""What `deploy/` holds fits the server that is here: queries, probes, ports, users, times."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from modelyard.serving.__main__ import read_options
from modelyard.serving.options import DEFAULT_PORT, ServeOptions
from tests.serving.bundles import IMAGE_SHAPE, PIXELS
from tests.serving.conftest import Serve

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
ALERTS = [
    rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
MANIFESTS = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
POD = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
(SERVER,) = POD["containers"]
UNITS = ("modelyard.service", "modelyard-serve.service")
STOPPING_S = ServeOptions(releases=Path()).drain_s + 6
"""The last requests, then the drain, then the workers that are left are killed."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def prometheus(address: str, folder: Path) -> Iterator[httpx.Client]:
    """A real one with the documented configuration, which scrapes a server five times a second."""
    configuration = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    (job,) = configuration["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{DEFAULT_PORT}"]}]
    job["static_configs"] = [{"targets": [address]}]
    configuration["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    shutil.copy(DEPLOY / "alerts.yml", folder)
    own = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [*command, "--scrape.discovery-reload-interval=100ms", f"--web.listen-address={own}"],
            stdout=log,
            stderr=log,
        ) as process,
        httpx.Client(base_url=f"http://{own}") as client,
    ):
        try:
            yield client
        finally:
            process.kill()


def values(client: httpx.Client, query: str) -> list[float]:
    """What a query gives now; none while Prometheus starts."""
    try:
        answer = client.get("/api/v1/query", params={"query": query.replace("$__rate_interval", "2s")})
    except httpx.ConnectError:
        return []
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return []
    assert answer.status_code == httpx.codes.OK, answer.text
    return [float(found["value"][1]) for found in answer.json()["data"]["result"]]


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus")
def test_every_query_and_alert_meets_data(releases: Path, serve: Serve, tmp_path: Path) -> None:
    """The first scrape comes five seconds after the start, so that is before all else."""
    entry = {"name": "images", "datatype": "UINT8", "shape": [2, *IMAGE_SHAPE], "data": [0] * 2 * PIXELS}
    selectors = {
        found
        for rule in ALERTS
        for found in re.findall(r"(?:up|modelyard_\w+|nv_\w+)(?:\{[^}]*\})?", rule["expr"])
    }
    wanted = {*QUERIES, *selectors}
    port = free_port()
    with prometheus(f"127.0.0.1:{port}", tmp_path) as client:
        server = serve(releases, "--workers", "1", "--port", str(port))
        deadline = time.monotonic() + 20
        while wanted:
            assert time.monotonic() < deadline, (wanted, (tmp_path / "log").read_text())
            for body in ({"inputs": [entry]}, {}):
                server.client.post("/v2/models/fruit/infer", json=body)
            server.client.get("/nowhere")
            time.sleep(0.1)
            wanted -= {
                query
                for query in wanted
                if (found := values(client, query)) and not all(map(math.isnan, found))
            }
        rules = client.get("/api/v1/rules").json()["data"]["groups"][0]["rules"]
        assert [(rule["name"], rule["health"]) for rule in rules] == [
            (rule["alert"], "ok") for rule in ALERTS
        ]
        assert values(client, "modelyard_ready") == [1]
        assert set(values(client, "modelyard_served_version")) == {1}
        (rejected,) = values(client, 'sum(modelyard_refused_requests_total{reason="not_found"})')
        assert rejected > 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs Debian's prometheus")
def test_prometheus_takes_the_rules() -> None:
    subprocess.run(
        ["promtool", "check", "config", DEPLOY / "prometheus.yml"], capture_output=True, check=True
    )


def test_the_dashboards_panels_do_not_overlap() -> None:
    taken = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken)) and max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in DASHBOARD["panels"])


def test_the_probes_are_answered(client: httpx.Client) -> None:
    probes = [SERVER[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    for probe in probes:
        asked = client.get(probe["path"], headers={"host": "10.1.2.3:9700", "user-agent": "kube-probe/1.31"})
        assert (asked.status_code, probe["port"]) == (200, "http")
    annotations = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert client.get(annotations["prometheus.io/path"]).status_code == 200


def test_the_manifest_is_of_one_piece() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert [(port["name"], port["containerPort"]) for port in SERVER["ports"]] == [("http", DEFAULT_PORT)]
    assert MANIFESTS["Service"]["spec"]["ports"] == [
        {"name": "http", "port": DEFAULT_PORT, "targetPort": "http"}
    ]
    assert (
        MANIFESTS["Service"]["spec"]["selector"] == MANIFESTS["Deployment"]["spec"]["selector"]["matchLabels"]
    )
    assert (
        f"EXPOSE {DEFAULT_PORT}" in dockerfile
        and f"--uid {POD['securityContext']['runAsUser']} " in dockerfile
    )
    assert read_options(SERVER["args"]).workers == int(SERVER["resources"]["limits"]["cpu"])
    assert SERVER["securityContext"]["readOnlyRootFilesystem"]
    assert all(mount["readOnly"] and mount["mountPath"] in dockerfile for mount in SERVER["volumeMounts"])
    asleep = int(SERVER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["terminationGracePeriodSeconds"] > asleep + STOPPING_S


def test_the_patch_for_grpc_keeps_to_one_port() -> None:
    patch = yaml.safe_load((DEPLOY / "kubernetes-grpc.yaml").read_text())
    (server,) = patch["spec"]["template"]["spec"]["containers"]
    ports = {int(server["args"][-1]), *(port["containerPort"] for port in server["ports"])}
    probes = {server[name]["grpc"]["port"] for name in ("startupProbe", "readinessProbe")}
    assert (
        ports == probes == {9701}
        and server["args"][:-2] == SERVER["args"]
        and server["name"] == SERVER["name"]
    )


@pytest.mark.parametrize("name", UNITS)
def test_the_units_wait_for_what_the_server_has_taken(name: str) -> None:
    unit = dict(re.findall(r"^(\w+)=(.*)", (DEPLOY / name).read_text(), re.MULTILINE))
    assert (
        float(unit["TimeoutStopSec"]) > STOPPING_S and unit["Restart"] == "always" and unit["UMask"] == "0077"
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs Debian's systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in UNITS:
        (tmp_path / name).write_text(
            (DEPLOY / name).read_text().replace("/opt/modelyard/.venv/bin/modelyard", "/bin/true")
        )
    command = [
        "systemd-analyze",
        "verify",
        "--man=no",
        "--recursive-errors=no",
        *(str(tmp_path / name) for name in UNITS),
    ]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.parametrize(
    ("extras", "packages"), [("serve", {"uvloop"}), ("serve,grpc", {"uvloop", "grpcio"})]
)
def test_the_image_pins_what_its_extras_need(tmp_path: Path, extras: str, packages: set[str]) -> None:
    run = re.search(
        r"^RUN (sed .*?) \\\n && python -m venv", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL
    )
    assert run
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["sh", "-ec", run[1]], cwd=tmp_path, env={**os.environ, "EXTRAS": extras}, check=True)
    asked = {re.split(r"[<>=]", line)[0] for line in (tmp_path / "serve.txt").read_text().split()}
    pinned = {line.partition("==")[0] for line in (tmp_path / "constraints.txt").read_text().split()}
    assert packages <= asked <= pinned


def test_the_docs_name_every_file() -> None:
    told = (ROOT / "docs" / "deploy.md").read_text()
    assert [path.name for path in DEPLOY.iterdir() if f"deploy/{path.name}" not in told] == []
