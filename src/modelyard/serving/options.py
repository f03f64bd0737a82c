"""What a server is told at its start. Imports nothing heavy: the supervisor reads it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 9700
"""Away from Prefect (4200 and 8000-8999), MLflow (5000) and Prometheus (9090)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Where the models are, where to listen and what is too much."""

    releases: Path
    """Folder of `<model>/<version>/` bundles and `<model>/<alias>.alias` files."""
    models: tuple[str, ...] = ()
    """Served models; empty: all below `releases`."""
    aliases: tuple[str, ...] = ()
    """Served aliases; empty: all."""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 takes a free one."""
    workers: int = 1
    provider: str = "CPUExecutionProvider"
    """onnxruntime's execution provider; there is no fallback to another."""
    token_file: Path | None = None
    """One bearer token a line; None: everyone may call."""
    access_log: bool = False
    """A log line for each request, not only for failures."""
    max_body_bytes: int = 32 * 2**20
    """Also bounds what a compressed body may unpack to."""
    max_json_bytes: int = 8_000_000
    """Of JSON with rows; reading it holds up every other request of the worker. Binary data may be larger."""
    max_rows: int = 1024
    """Images in one request."""
    max_connections: int = 4096
    request_timeout_s: float = 30.0
    """A request still waiting for the model after this is answered 504."""
    queue_s: float = 0.1
    """A request that would wait longer than this for the model is answered 503."""
    read_timeout_s: float = 20.0
    """For one request's headers and body to arrive."""
    idle_timeout_s: float = 75.0
    """A connection without a request is closed after this; longer than most proxies keep theirs."""
    poll_s: float = 0.5
    """Between two looks at the alias files."""
    drain_s: float = 10.0
    """For requests in flight to end after SIGTERM."""
