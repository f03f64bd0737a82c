"""`python -m modelyard.serving`: the server, with no more than the `serve` extra installed."""

from __future__ import annotations

import argparse
import sys
from ipaddress import ip_network
from pathlib import Path

from modelyard.cores import usable_cores
from modelyard.errors import ModelyardError
from modelyard.home import Home
from modelyard.serving.events import log_event
from modelyard.serving.hosts import HOST_NAME, is_loopback
from modelyard.serving.options import DEFAULT_PORT, ServeOptions
from modelyard.serving.supervisor import Supervisor


def read_options(arguments: list[str]) -> ServeOptions:
    """The command line as options; argparse ends the process when it does not fit."""
    parser = argparse.ArgumentParser("modelyard serve", description="Serve released models over HTTP.")
    add = parser.add_argument
    defaults = ServeOptions(releases=Home.current().releases)
    add("--releases", type=Path, default=defaults.releases, help="folder of the releases (default: %(default)s)")
    add("--model", action="append", default=[], help="a served model; repeatable (default: all)")
    add("--alias", action="append", default=[], help="a served alias; repeatable (default: all)")
    add("--host", default=defaults.host, help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    add("--workers", type=int, default=usable_cores(), help="processes (default: the usable cores, %(default)s)")
    add("--provider", default=defaults.provider, help="onnxruntime's execution provider (default: %(default)s)")
    add("--token-file", type=Path, help="bearer tokens, one a line; without it everyone may call")
    add("--allowed-host", action="append", default=[], metavar="NAME", help="a name this server is reached by; repeatable")
    add("--allow-load", action="store_true", help="let every caller load and unload models")
    add("--access-log", action="store_true", help="log each request")
    add("--max-body-bytes", type=int, default=defaults.max_body_bytes, metavar="N", help="(default: %(default)s)")
    add("--max-bodies-bytes", type=int, default=defaults.max_bodies_bytes, metavar="N", help="(default: %(default)s)")
    add("--max-json-bytes", type=int, default=defaults.max_json_bytes, metavar="N", help="(default: %(default)s)")
    add("--max-rows", type=int, default=defaults.max_rows, metavar="N", help="images in a request (default: %(default)s)")
    add("--max-connections", type=int, default=defaults.max_connections, metavar="N", help="(default: %(default)s)")
    told = "address or network that may hold more than half of the connections; repeatable"
    add("--trusted-proxy", action="append", default=[], type=ip_network, metavar="ADDRESS", help=told)
    told = "for one release to open, beside six times its size (default: %(default)s)"
    add("--load-memory-mb", type=int, default=defaults.load_memory_mb, metavar="N", help=told)
    for name in (
        "request_timeout_s", "queue_s", "read_timeout_s", "idle_timeout_s", "poll_s", "load_timeout_s", "drain_s", "hang_s",
    ):  # fmt: skip
        add(
            f"--{name.replace('_', '-')}",
            type=float,
            default=getattr(defaults, name),
            metavar="S",
            help="(default: %(default)s)",
        )
    given = vars(parser.parse_args(arguments))
    given["models"], given["aliases"] = tuple(given.pop("model")), tuple(given.pop("alias"))
    given["trusted_proxies"] = tuple(given.pop("trusted_proxy"))
    for name, least in (("workers", 1), ("max_connections", 1), ("hang_s", 3)):
        if given[name] < least:
            parser.error(f"--{name.replace('_', '-')}: expected at least {least}, received {given[name]}")
    given["allowed_hosts"] = tuple(given.pop("allowed_host"))
    if wrong := [name for name in given["allowed_hosts"] if not HOST_NAME.fullmatch(name)]:
        parser.error(f"--allowed-host {wrong[0]}: expected a name without scheme and port")
    if given["token_file"] is None and not is_loopback(given["host"]):
        log_event("open to the network", {"host": given["host"], "remedy": "anyone who reaches it may call; give --token-file"})
    return ServeOptions(**given)


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or Ctrl-C. Exit codes: 0 stopped, 2 nothing to serve or wrong options, 1 a fault."""
    try:
        return Supervisor(read_options(arguments)).run()
    except ModelyardError as error:
        sys.stderr.write(f"modelyard: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
