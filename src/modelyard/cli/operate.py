"""`modelyard up`, `status`, `down` and `restart`: everything that runs for months."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.options import JsonOption, print_rows
from modelyard.errors import ConfigError, StoreError
from modelyard.home import Home
from modelyard.terminal.echo import echo

if TYPE_CHECKING:
    from modelyard.operations.parts import Part

MlflowPort = Annotated[int, typer.Option(help="Port of MLflow.")]
PrefectPort = Annotated[int, typer.Option(help="Port of Prefect.")]
AllowedHost = Annotated[
    list[str] | None, typer.Option(help="A name under which a proxy leads here; repeatable.")
]


def up(
    detach: Annotated[
        bool, typer.Option("--detach", help="Go on in the background; end it with: modelyard down")
    ] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out prefect, mlflow, worker or serve; repeatable.")
    ] = None,
    mlflow_port: MlflowPort = 5000,
    prefect_port: PrefectPort = 4200,
    serve_port: Annotated[int, typer.Option(help="Port of the model server.")] = 9700,
    allowed_host: AllowedHost = None,
) -> None:
    """Run everything: Prefect, MLflow, the worker that runs what is due, and the model server.

    Each part is started again when it ends, and none outlives its supervisor. Ctrl-C (or `modelyard down`)
    ends all.
    """
    from modelyard.operations import supervision
    from modelyard.operations.parts import NAMES, make_parts
    from modelyard.operations.sign_in import page_link

    home = Home.current()
    supervision.refuse_second(home)
    make_store(home)
    ports = {"mlflow": mlflow_port, "prefect": prefect_port, "serve": serve_port}
    chosen = tuple(name for name in NAMES if name not in (without or []))
    parts = make_parts(
        home, ports, (*chosen, *(name for name in without or [] if name not in NAMES)), allowed_host or ()
    )
    with running(home, parts, detach=detach):
        if sys.stdout.isatty() and (
            link := page_link(home)
        ):  # in a service's journal it would be read by others
            echo(f"Prefect's page, once and within ten minutes (again: modelyard ui): {link}")
        if detach:
            echo(
                "it goes on in the background: modelyard status "
                "| modelyard down | modelyard schedule add --help"
            )
            return
        echo("Ctrl-C ends all; in another terminal: modelyard status | modelyard schedule add --help")
        supervision.wait(home)


@contextmanager
def running(home: Home, parts: list[Part], *, detach: bool) -> Iterator[None]:
    """Start the parts, which Ctrl-C ends."""
    from modelyard.operations import supervision

    supervision.start(home, parts, detach=detach)
    try:
        _show_until_ready(home)
        yield
    except KeyboardInterrupt:
        echo("stopping ...")
        supervision.stop(home)


def make_store(home: Home) -> None:
    """Raises: StoreError."""
    if not home.database.exists():
        echo(f"making the run store {home.root} ...")
        ask_child("modelyard.tracking.store")


def ask_child(module: str, *words: str) -> str:
    """What a process that ends prints: this one stays, and would keep what that needs. Raises: StoreError."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StoreError(
            (done.stderr.strip().splitlines() or ["the store cannot be opened; see modelyard doctor"])[-1]
        )
    return done.stdout


def _show_until_ready(home: Home) -> None:
    """A line for each part as soon as it is ready."""
    from modelyard.operations import supervision
    from modelyard.operations.status import part_statuses

    started, shown = time.monotonic(), set[str]()
    while True:
        parts = part_statuses(home)
        for part in parts:
            if part.is_ready and part.name not in shown:
                shown.add(part.name)
                echo(f"{part.name:>8}  {part.state} after {time.monotonic() - started:.0f} s  {part.address}")
        if len(shown) == len(parts):
            return
        if time.monotonic() - started > supervision.READY_SECONDS:
            late = [part for part in parts if part.name not in shown]
            echo(*(f"{part.name:>8}  {part.state}; see {part.log}" for part in late))
            return
        time.sleep(0.2)


def status(as_json: JsonOption = False) -> None:
    """What of `modelyard up` runs, since when and where."""
    from modelyard.operations.status import part_statuses

    rows = [part.as_row() for part in part_statuses(Home.current())]
    print_rows(rows, "modelyard up", as_json, "nothing runs; start it with: modelyard up")


def down() -> None:
    """End what `modelyard up` runs."""
    from modelyard.operations import supervision

    echo("stopped" if supervision.stop(Home.current()) else "nothing runs")


def restart(part: Annotated[str, typer.Argument(help="prefect, mlflow, worker or serve")]) -> None:
    """Stop one part of `modelyard up` and start it again."""
    from modelyard.operations import supervision

    supervision.restart(Home.current(), part)
    echo(f"{part} started again")


def env() -> None:
    """Variables for Prefect's own commands: eval "$(modelyard env)"."""
    from modelyard.operations.sign_in import auth_file, make_auth
    from modelyard.operations.state import running_state

    home = Home.current()
    state = running_state(home)
    if state is None or "prefect" not in state.addresses:
        raise ConfigError("no Prefect server runs on this store; start it with: modelyard up")
    make_auth(home)
    echo(
        f"export PREFECT_HOME={shlex.quote(str(home.prefect))} "
        f"PREFECT_API_URL={state.addresses['prefect']}/api"
    )
    echo(
        f'export PREFECT_API_AUTH_STRING="$(cat {shlex.quote(str(auth_file(home)))})"'
    )  # the shell reads it, no screen
