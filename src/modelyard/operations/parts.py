"""The parts of `modelyard up`: what each is, how it starts, how one sees that it is ready."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.serving.http.hosts import check_names, plain_name
from modelyard.tracking.mlflow_internals import server_variables

NAMES = ("prefect", "mlflow", "worker", "serve")
HEALTH = {"prefect": "/api/health", "mlflow": "/health", "serve": "/v2/health/ready"}


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


def make_parts(
    home: Home, ports: Mapping[str, int], names: tuple[str, ...] = NAMES, hosts: Sequence[str] = ()
) -> list[Part]:
    """hosts: names under which a proxy leads here. Raises: ConfigError for a wrong part or name, or a port
    that is taken.
    """
    check_names(hosts)
    if unknown := [name for name in names if name not in NAMES]:
        raise ConfigError(f"unknown part {unknown[0]!r}: expected {', '.join(NAMES)}")
    if "worker" in names and "prefect" not in names and "PREFECT_API_URL" not in os.environ:
        raise ConfigError(
            "the worker needs a Prefect server: leave it out, too (--without worker), or set PREFECT_API_URL"
        )
    for name in names:
        if name in ports:
            bind(name, ports[name], socket.SO_REUSEADDR).close()
    own_server = {"PREFECT_API_URL": f"http://127.0.0.1:{ports['prefect']}/api"} if "prefect" in names else {}
    hosts = [plain_name(name) for name in hosts]  # as browsers write them; MLflow compares letter by letter
    return [_make(name, home, ports, own_server, hosts) for name in names]


def hold(part: Part) -> socket.socket:
    """A socket that only occupies the part's port: while it is open the kernel lets this user's processes
    alone serve there.

    So nobody serves in the part's place while it is started again, and is sent what opens it. Raises:
    ConfigError.
    """
    return bind(part.name, part.port or 0, socket.SO_REUSEPORT)


def _make(
    name: str, home: Home, ports: Mapping[str, int], own_server: Mapping[str, str], hosts: Sequence[str]
) -> Part:
    python, port = sys.executable, ports.get(name)
    match name:
        case "prefect":
            return Part(
                name, (python, "-P", "-m", "flows.server", "up", str(port), *hosts), _event_keeping(), port
            )
        case "mlflow":
            quiet = (python, "-P", "-m", "uvicorn", "mlflow.server.fastapi_app:app", "--log-level", "warning")
            return Part(
                name, (*quiet, "--host", "127.0.0.1", "--port", str(port)), _mlflow(home, hosts), port
            )
        case "worker":
            return Part(name, (python, "-P", "-m", "flows.worker"), own_server)
        case _:
            return Part(
                name, (python, "-P", "-m", "modelyard.operations.serving", str(port), *hosts), {}, port
            )


def _event_keeping() -> dict[str, str]:
    """A server that stays keeps its events, for a week: the feed, and what automations react to."""
    return {
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "true",
        "PREFECT_EVENTS_RETENTION_PERIOD": "P7D",
    }


def _mlflow(home: Home, hosts: Sequence[str]) -> dict[str, str]:
    """MLflow's own list of hosts is not used: it takes any name that begins as a private address, such as
    10.evil.example.
    """
    ours = [f"http{s}://{name}{port}" for name in hosts for s in ("", "s") for port in ("", ":*")]
    return server_variables(home.database, home.artifacts) | {
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(
            f"{name},{name}:*" for name in ("localhost", "127.0.0.1", *hosts)
        ),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(ours),
    }


def bind(name: str, port: int, *options: int) -> socket.socket:
    """A socket of the part's port. Raises: ConfigError when it is taken."""
    bound = socket.socket()
    for option in options:
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        why = os.strerror(error.errno or 0)
        raise ConfigError(f"port {port} cannot be had ({why}); choose another --{name}-port") from None
    return bound
