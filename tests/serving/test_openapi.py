"""The published document and the server say the same."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from modelyard.serving.http.auth import Callers
from modelyard.serving.page.files import OPENAPI
from modelyard.serving.protocol.handlers import Handlers
from tests.serving.bundles import Linear, release
from tests.serving.conftest import Server, running

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads(OPENAPI.read_text())
OPERATIONS = [
    (path, method, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]
NOT_JSON = "^/(ping|health|version)$"
"""MLflow's bytes, which call themselves JSON and are none."""
CHANGES = "load$"
"""With `unload` among the calls the others would find no model."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The model of the document's examples: `mnist` with images of 2x2."""
    folder = tmp_path_factory.mktemp("openapi")
    release(folder / "releases", 1, Linear.seeded(1, (2, 2, 1)), "champion", model="mnist")
    with running(folder / "releases", folder / "log", "--workers", "1", "--allow-load") as server:
        yield server


def test_every_route_is_documented() -> None:
    async def change_model(verb: str, name: str) -> None:
        """Never called."""

    handlers = Handlers(
        cast(Any, None), mmap.mmap(-1, 1), callers=Callers(None, allow_load=False), change_model=change_model
    )
    fixed = {(path, method) for path, (method, _) in handlers._fixed.items()}
    verbs = {(f"/{verb}" if verb else "", method) for verb, (method, _) in handlers._verbs.items()} | {
        ("/infer", "POST")
    }
    models = {f"/v2/models/{{model}}{version}" for version in ("", "/versions/{version}")}
    expected = fixed | {(model + verb, method) for model in models for verb, method in verbs}
    expected |= {(f"/v2/repository/models/{{model}}/{verb}", "POST") for verb in ("load", "unload")}
    expected |= {("/assets/{file}", "GET")}
    assert {(path, method.upper()) for path, method, _ in OPERATIONS} == expected


@pytest.mark.parametrize(
    ("path", "operation"), [(path, one) for path, method, one in OPERATIONS if method == "post"]
)
def test_the_examples_are_answered(path: str, operation: dict[str, Any], small: Server) -> None:
    address = path.format(model="mnist", version="1")
    body = operation["requestBody"]
    body = DOCUMENT["components"]["requestBodies"].get(body.get("$ref", "").rpartition("/")[2], body)
    examples = body["content"].get("application/json", {}).get("examples", {})
    for example in examples:
        body = DOCUMENT["components"]["examples"][example]["value"]
        answer = small.client.post(address, json=body)
        assert answer.status_code == 200, answer.text
    assert examples or not address.endswith(("infer", "invocations"))


def test_schemathesis_finds_no_contradiction(small: Server, tmp_path: Path) -> None:
    """Examples, edge values and random requests, valid and not: statuses, types, schemas and headers as
    documented.
    """
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        str(OPENAPI),
        "--url",
        small.url,
        "--seed",
        "1",
        "--max-examples",
        "5",
        "--phases",
        "examples,coverage,fuzzing",
        "--exclude-checks",
        "positive_data_acceptance",
        "--exclude-path-regex",
        f"{NOT_JSON}|{CHANGES}",
        "--continue-on-failure",
        "--no-color",
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.serving.raw_bodies", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "passed" in done.stdout
