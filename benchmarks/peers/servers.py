"""The servers that are compared: what to install, how to start, what to send. One onnxruntime thread in each
worker.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from benchmarks.peers.formats import Format, invocations, plain_json, v2_binary, v2_json, v2_tensor

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUNTIME = f"onnxruntime=={onnxruntime.__version__}"


@dataclass(frozen=True, slots=True)
class Start:
    """What a start command needs to know."""

    python: Path
    model: Path
    home: Path
    """A run store whose only release is the model."""
    scratch: Path
    port: int
    workers: int


@dataclass(frozen=True, slots=True)
class Server:
    """One server under test."""

    name: str
    requirements: tuple[str, ...]
    command: Callable[[Start], list[str]]
    """May write into `scratch`; the process gets MODEL, WORKERS, MODELYARD_HOME, and this folder and src on
    PYTHONPATH.
    """
    ready_path: str
    formats: tuple[Format, ...]


def all_servers(model: str, image_shape: tuple[int, int, int]) -> list[Server]:
    """Ours first; `model` is its registered name."""
    infer = f"/v2/models/{model}/infer"
    ours = (v2_binary(infer, image_shape), v2_json(infer), invocations())
    litserve = plain_json(
        "/predict", lambda image: {"image": image.tolist()}, lambda answer: answer["probabilities"]
    )
    bentoml = plain_json("/classify", lambda image: {"images": [image.tolist()]}, lambda answer: answer)
    fastapi = plain_json(
        "/infer", lambda image: {"inputs": [v2_tensor(image)]}, lambda answer: answer["probabilities"]
    )
    return [
        Server("modelyard", (RUNTIME, *_serve_extra()), _modelyard, "/v2/health/ready", ours),
        Server(
            "mlflow", (RUNTIME, "mlflow==3.17.2", "onnx", "fastapi<0.151"), _mlflow, "/ping", (invocations(),)
        ),
        Server(
            "FastAPI",
            (RUNTIME, "fastapi<0.151", "uvicorn[standard]", "numpy"),
            _fastapi,
            "/health",
            (fastapi,),
        ),
        Server("LitServe", (RUNTIME, "litserve", "numpy"), _litserve, "/health", (litserve,)),
        Server("BentoML", (RUNTIME, "bentoml", "numpy"), _bentoml, "/readyz", (bentoml,)),
        Server(
            "MLServer",
            (RUNTIME, "mlserver", "uvloop<0.22"),
            _mlserver,
            "/v2/health/ready",
            (v2_json("/v2/models/peer/infer"),),
        ),
    ]


def _serve_extra() -> list[str]:
    """What `modelyard serve` needs and nothing else, on the same onnxruntime as the others."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return [requirement for requirement in extras["serve"] if not requirement.startswith("onnxruntime")]


def _modelyard(start: Start) -> list[str]:
    return [
        str(start.python),
        "-m",
        "modelyard.serving",
        "--port",
        str(start.port),
        "--workers",
        str(start.workers),
    ]


def _mlflow(start: Start) -> list[str]:
    folder = start.scratch / "mlflow-model"
    if not folder.exists():
        subprocess.run(
            [start.python, HERE / "mlflow_model.py", start.model, folder], check=True, capture_output=True
        )
    command = [
        str(start.python.parent / "mlflow"),
        "models",
        "serve",
        "-m",
        str(folder),
        "--env-manager",
        "local",
    ]
    return [*command, "-h", "127.0.0.1", "-p", str(start.port), "-w", str(start.workers)]


def _fastapi(start: Start) -> list[str]:
    command = [
        str(start.python),
        "-m",
        "uvicorn",
        "fastapi_server:app",
        "--log-level",
        "warning",
        "--no-access-log",
    ]
    return [*command, "--port", str(start.port), "--workers", str(start.workers)]


def _litserve(start: Start) -> list[str]:
    return [str(start.python), str(HERE / "litserve_server.py"), str(start.port), str(start.workers)]


def _bentoml(start: Start) -> list[str]:
    command = [
        str(start.python),
        "-m",
        "bentoml",
        "serve",
        "bentoml_service:Classifier",
        "--host",
        "127.0.0.1",
    ]
    return [*command, "--port", str(start.port), "--working-dir", str(HERE)]


def _mlserver(start: Start) -> list[str]:
    """Without its batching and, for one worker, without its worker pool: its fastest way with this model."""
    pool = 0 if start.workers == 1 else start.workers
    ports = {"http_port": start.port, "grpc_port": start.port + 1, "metrics_port": start.port + 2}
    settings = {"host": "127.0.0.1", "parallel_workers": pool, "metrics_dir": str(start.scratch), **ports}
    (start.scratch / "settings.json").write_text(json.dumps(settings))
    model = {"name": "peer", "implementation": "mlserver_model.Classifier"}
    (start.scratch / "model-settings.json").write_text(json.dumps(model))
    return [str(start.python.parent / "mlserver"), "start", str(start.scratch)]
