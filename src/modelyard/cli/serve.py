"""`modelyard serve`: hands over to the server's own process, which imports far less than this
command line.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def serve(
    context: typer.Context,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="A served model; repeatable. Default: all.")
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option(help="A served alias, as champion; repeatable. Default: all.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="0 takes a free one. Default: 9700.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. Default: the usable cores.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="URL of a site whose pages may ask; repeatable.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Bearer tokens, one a line; without it everyone may call.")
    ] = None,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log each request.")] = False,
    grpc: Annotated[
        bool, typer.Option("--grpc", help="V2 over gRPC too, at port 9701 or --grpc-port N.")
    ] = False,
) -> None:
    """Serve released models over HTTP (V2, MLflow's /invocations, pictures) until Ctrl-C; follows promotions.

    The champion answers under the model's name, other aliases as name-alias: mnist, mnist-cnn, mnist-rnn.
    Proxies, host names, limits and timeouts are options too: python -m modelyard.serving --help
    """
    arguments = ["--host", host]
    arguments += ["--port", str(port)] if port is not None else []
    for option, values in (("--model", model), ("--alias", alias), ("--origin", origin)):
        arguments += [part for value in values or [] for part in (option, value)]
    arguments += ["--workers", str(workers)] if workers else []
    arguments += ["--token-file", str(token_file)] if token_file else []
    arguments += ["--access-log"] if access_log else []
    arguments += ["--grpc-port", "9701"] if grpc else []
    os.execv(sys.executable, [sys.executable, "-P", "-m", "modelyard.serving", *arguments, *context.args])
