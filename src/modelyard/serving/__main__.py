"""`python -m modelyard.serving`: the server, with no more than the `serve` extra installed."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path

from modelyard.errors import ConfigError, ModelyardError
from modelyard.home import Home
from modelyard.machine.cores import usable_cores
from modelyard.serving.http.hosts import check_names, is_loopback
from modelyard.serving.http.origins import Origins
from modelyard.serving.options import DEFAULT_PORT, ServeOptions
from modelyard.serving.processes.events import log_event
from modelyard.serving.processes.supervisor import Supervisor

LIMITS = {
    "max_body_bytes": "of one request, unpacked too", "max_bodies_bytes": "of all requests that a worker "
"holds at once",
    "max_json_bytes": "of JSON with rows; binary data may be larger", "max_rows": "in a request",
    "max_connections": "open at once", "request_timeout_s": "until an answer, else 504",
    "queue_s": "a request that would wait longer for the "
"model is 503", "read_timeout_s": "for a request to arrive",
    "idle_timeout_s": "until a silent connection is closed", "poll_s": "between two looks at the alias files",
    "hang_s": "until a worker that stands still is replaced", "load_timeout_s": "for a release to be tried",
    "load_memory_mb": "MB for a release to be tried, beside six "
"times its size", "drain_s": "for requests to end after SIGTERM",
}  # fmt: skip
"""Options that are numbers, and what each bounds."""
MOST_S = 1_000_000
RANGES = {
    "port": (0, 65535),
    "grpc_port": (0, 65535),
    "hang_s": (3, MOST_S),
    "drain_s": (0, MOST_S),
    "queue_s": (0, MOST_S),
}
"""Bounds of options; others are at least 1, or 0.01 s, and at most what gRPC takes. The system would take the
last 16 bits of a larger port.
"""
GRPC_PACKAGES = ("grpc", "grpc_health", "grpc_reflection", "tritonclient")


KINDS = {field.name: type(field.default) for field in fields(ServeOptions)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("modelyard serve", description="Serve released models over HTTP.")
    add = parser.add_argument
    defaults = ServeOptions(releases=Home.current().releases)
    add(
        "--releases",
        type=Path,
        default=defaults.releases,
        help="folder of the releases (default: %(default)s)",
    )
    for name, dest in (("model", "models"), ("alias", "aliases")):
        told = f"a served {name}; repeatable (default: all)"
        add(f"--{name}", dest=dest, action="append", default=[], metavar=name.upper(), help=told)
    add("--host", default=defaults.host, help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    add("--grpc-port", type=int, help="for V2 over gRPC too; 0 takes a free one; needs modelyard[grpc]")
    add(
        "--workers",
        type=int,
        default=usable_cores(),
        help="processes (default: the usable cores, %(default)s)",
    )
    add(
        "--provider",
        default=defaults.provider,
        help="onnxruntime's execution provider (default: %(default)s)",
    )
    add("--token-file", type=Path, help="bearer tokens, one a line; without it everyone may call")
    told = "a name this server is reached by; repeatable"
    add("--allowed-host", dest="allowed_hosts", action="append", default=[], metavar="NAME", help=told)
    add("--allow-load", action="store_true", help="let every caller load and unload models")
    add("--access-log", action="store_true", help="log each request")
    add(
        "--origin",
        dest="origins",
        action="append",
        default=[],
        metavar="URL",
        help="a site whose pages may ask; repeatable",
    )
    told = "a proxy (address or network) whose X-Forwarded-For is believed; repeatable"
    add("--trusted-proxy", dest="trusted_proxies", action="append", default=[], metavar="ADDRESS", help=told)
    for name, what in LIMITS.items():
        metavar, told = "S" if KINDS[name] is float else "N", f"{what} (default: %(default)s)"
        add(
            f"--{name.replace('_', '-')}",
            type=KINDS[name],
            default=getattr(defaults, name),
            metavar=metavar,
            help=told,
        )
    return parser


def read_options(arguments: list[str]) -> ServeOptions:
    """The command line as options; argparse ends the process when it does not fit. Raises: ConfigError."""
    given = vars(_parser().parse_args(arguments))
    for name in ("models", "aliases", "allowed_hosts", "origins", "trusted_proxies"):
        given[name] = tuple(given[name])
    for name in ("port", "grpc_port", "workers", *LIMITS):
        least, most = RANGES.get(name) or ((1, 2**31 - 1) if KINDS[name] is int else (0.01, MOST_S))
        if not least <= (given[name] or 0) <= most:  # nor what is no number
            raise ConfigError(
                f"--{name.replace('_', '-')}: expected {least} to {most}, received {given[name]}"
            )
    try:
        given["trusted_proxies"] = tuple(map(ip_network, given["trusted_proxies"]))
    except ValueError as error:
        raise ConfigError(
            f"--trusted-proxy: {error}; expected an address, or a network as 10.0.0.0/8"
        ) from None
    check_names(given["allowed_hosts"])
    Origins(given["origins"])
    if given["token_file"] is None and not is_loopback(given["host"]):
        log_event(
            "open to the network",
            {"host": given["host"], "remedy": "anyone who reaches it may call; give --token-file"},
        )
    if given["grpc_port"] is not None and not all(find_spec(package) for package in GRPC_PACKAGES):
        raise ConfigError(f"--grpc-port needs {', '.join(GRPC_PACKAGES)}; install modelyard[grpc]")
    return ServeOptions(**given)


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C. Exit codes: 0 stopped, 2 nothing to serve or wrong options,
    1 a fault.
    """
    try:
        return Supervisor(read_options(arguments)).run()
    except ModelyardError as error:
        sys.stderr.write(f"modelyard: {error}\n")
        return error.exit_code
    except ModuleNotFoundError as error:
        sys.stderr.write(f"modelyard: the server needs {error.name}; install modelyard[serve]\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
