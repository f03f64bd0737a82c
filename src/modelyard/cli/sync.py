"""`modelyard sync`: bring the store to the MLflow server of MODELYARD_REMOTE."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from modelyard.cli.options import JsonOption
from modelyard.errors import ConfigError, RemoteError
from modelyard.home import Home
from modelyard.terminal.echo import echo


def sync(
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare everything anew, also what was sent before.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send every run, metric, artifact and model version that the MLflow server lacks.

    The server is named by MODELYARD_REMOTE=http://host:port (or an http MLFLOW_TRACKING_URI). The store on
    this disk stays the truth: while the server is away nothing is lost, and nothing is sent twice however
    often this is called. Runs do it by themselves; this sends what waits after an outage.
    """
    from modelyard.mirror.remote import configured_remote

    remote = configured_remote()
    if remote is None:
        raise ConfigError(
            "no MLflow server is named; set MODELYARD_REMOTE=http://host:port, then modelyard sync"
        )
    from modelyard.mirror.mirror import sync as send
    from modelyard.mirror.sent import in_words

    outcome = send(
        Home.current(), remote, lambda text: None if quiet else echo(text, err=True), verify=verify
    )
    if as_json:
        echo(json.dumps({"remote": remote.name, **asdict(outcome)}))
        if outcome.problem:
            raise typer.Exit(RemoteError.exit_code)
    elif outcome.problem:
        raise RemoteError(
            f"{outcome.problem}; {in_words(outcome.waiting)} here, nothing is lost: modelyard sync "
            "sends what waits"
        )
    else:
        echo(f"{remote.name}: {outcome.sent} sent, {outcome.waiting} waiting")
