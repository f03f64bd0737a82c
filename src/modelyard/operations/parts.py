"""The parts of `modelyard up`: what each is, how it starts, how one sees that it is ready."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelyard.errors import ConfigError
from modelyard.home import Home

PORTS = {"prefect": 4200, "mlflow": 5000, "serve": 9700}
NAMES = ("prefect", "mlflow", "worker", "serve")
HEALTH = {"prefect": "/api/health", "mlflow": "/health", "serve": "/v2/health/ready"}
TITLES = {"prefect": "flows and schedules", "mlflow": "runs and models", "worker": "runs what is due", "serve": "answers"}


@dataclass(frozen=True, slots=True)
class Part:
    """One process that is kept running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None

    @property
    def address(self) -> str | None:
        """Its page."""
        return f"http://127.0.0.1:{self.port}" if self.port else None

    @property
    def health_url(self) -> str | None:
        """Answers 200 when the part is ready; None when it has no address."""
        return f"{self.address}{HEALTH[self.name]}" if self.port else None


def make_parts(home: Home, ports: Mapping[str, int], names: tuple[str, ...] = NAMES) -> list[Part]:
    """Raises: ConfigError when a name is unknown or a port is taken."""
    if unknown := [name for name in names if name not in NAMES]:
        raise ConfigError(f"unknown part {unknown[0]!r}: expected {', '.join(NAMES)}")
    for name in names:
        if name in ports:
            _check_free(name, ports[name])
    return [_make(name, home, ports) for name in names]


def _make(name: str, home: Home, ports: Mapping[str, int]) -> Part:
    python, port = sys.executable, ports.get(name)
    match name:
        case "prefect":
            command = (python, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
            return Part(name, command, _event_keeping(), port)
        case "mlflow":
            quiet = (python, "-m", "uvicorn", "mlflow.server.fastapi_app:app", "--log-level", "warning")
            return Part(name, (*quiet, "--host", "127.0.0.1", "--port", str(port)), _mlflow(home), port)
        case "worker":
            return Part(name, (python, "-m", "flows.worker"), {"PREFECT_API_URL": f"http://127.0.0.1:{ports['prefect']}/api"})
        case _:
            return Part(name, (python, "-m", "modelyard.operations.serving", str(port)), {}, port)


def _event_keeping() -> dict[str, str]:
    """A server that stays keeps its events, for a week: the feed, and what automations react to."""
    return {"PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "true", "PREFECT_EVENTS_RETENTION_PERIOD": "P7D"}


def _mlflow(home: Home) -> dict[str, str]:
    """As `mlflow server` sets them for its workers, which are two processes more and 240 MB."""
    return {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{home.database}", "_MLFLOW_SERVER_ARTIFACT_ROOT": str(home.artifacts),
        "_MLFLOW_SGI_NAME": "uvicorn", "_MLFLOW_IN_JOB_EXECUTOR": "false",
    }  # fmt: skip


def _check_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be had ({os.strerror(error.errno or 0)}); choose another --{name}-port"
            ) from None
