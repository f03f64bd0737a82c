"""The options of a server. Imports nothing heavy: the supervisor reads it too."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

DEFAULT_PORT = 9700
"""Not used by Prefect (4200 and 8000-8999), MLflow (5000) or Prometheus (9090)."""
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Where the models are, where to listen, and the limits."""

    releases: Path
    """Folder of `<model>/<version>/` bundles and `<model>/<alias>.alias` files."""
    models: tuple[str, ...] = ()
    """Served models; empty: all below `releases`."""
    aliases: tuple[str, ...] = ()
    """Served aliases; empty: all."""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 takes a free one."""
    grpc_port: int | None = None
    """For V2 over gRPC too, in a process of its own; 0 takes a free one."""
    grpc_address: str = ""
    """The address of gRPC, once it is known."""
    workers: int = 1
    """Processes that answer HTTP."""
    provider: str = "CPUExecutionProvider"
    """onnxruntime's execution provider; there is no fallback to another."""
    token_file: Path | None = None
    """One bearer token a line; None: everyone may call."""
    allowed_hosts: tuple[str, ...] = ()
    """Names besides `host`, addresses and loopback names for which requests are answered."""
    origins: tuple[str, ...] = ()
    """URLs of the sites whose pages may ask, beside this server's own."""
    allow_load: bool = False
    """Whether all who may call may load and unload models."""
    access_log: bool = False
    """A log line for each request, not only for failures."""
    max_body_bytes: int = 32 * 2**20
    """Also bounds what a compressed body may unpack to."""
    max_bodies_bytes: int = 128 * 2**20
    """Of all requests that a worker holds at once; at least twice the largest body."""
    max_json_bytes: int = 8_000_000
    """Of JSON with rows; reading it holds up every other request of the worker. Binary data may be larger."""
    max_rows: int = 1024
    """In one request."""
    max_connections: int = 4096
    trusted_proxies: tuple[Network, ...] = ()
    """Proxies whose X-Forwarded-For is believed, and which may hold more than half of the connections, as
    this machine itself may.
    """
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
    hang_s: float = 10.0
    """A worker whose event loop stands still for so long is killed and replaced; it gives a sign
    each second.
    """
    load_timeout_s: float = 20.0
    """For a release to open and answer its golden samples, in a process of its own."""
    load_memory_mb: int = 1024
    """What it may take for that, beside six times its size."""
    drain_s: float = 10.0
    """For requests in flight to end after SIGTERM."""

    @property
    def processes(self) -> int:
        """The workers, and the one that answers gRPC, which comes last."""
        return self.workers + (self.grpc_port is not None)
