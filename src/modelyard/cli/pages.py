"""`modelyard ui`: MLflow's and Prefect's pages."""

from __future__ import annotations

import json
import sys
import webbrowser
from typing import Annotated

import typer

from modelyard.cli.operate import AllowedHost, MlflowPort, PrefectPort, ask_child, make_store, running
from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.machine.environment import callers_files
from modelyard.terminal.echo import echo


def ui(
    mlflow_port: MlflowPort = 5000,
    prefect_port: PrefectPort = 4200,
    allowed_host: AllowedHost = None,
    browser: Annotated[bool, typer.Option(help="Open both pages in the browser.")] = True,
) -> None:
    """Show the MLflow and Prefect pages: those of `modelyard up` where it runs, else until Ctrl-C."""
    from modelyard.operations import supervision
    from modelyard.operations.parts import make_parts
    from modelyard.operations.state import running_state

    home = Home.current()
    if running_state(home) is not None:
        if allowed_host:
            raise ConfigError(
                "modelyard up runs already: end it (modelyard down) and give --allowed-host to modelyard up"
            )
        return _show_pages(home, browser)
    parts = make_parts(
        home, {"mlflow": mlflow_port, "prefect": prefect_port}, ("prefect", "mlflow"), allowed_host or ()
    )
    make_store(home)
    with running(home, parts, detach=False):
        _show_pages(home, browser)
        echo("Ctrl-C ends both")
        supervision.wait(home)
    return None


def _show_pages(home: Home, browser: bool) -> None:
    """Print the addresses, and open the first two where a person is watching. Raises: ConfigError when `up`
    has no pages.
    """
    from modelyard.operations.sign_in import page_link
    from modelyard.operations.state import running_state

    state = running_state(home)
    if state is None or not {"mlflow", "prefect"} <= set(state.addresses):
        raise ConfigError(
            "modelyard up runs without these pages; end it (modelyard down) and start it with "
            "prefect and mlflow"
        )
    addresses = json.loads(ask_child("modelyard.operations.pages", state.addresses["mlflow"])) | {
        "flows": page_link(home)
    }
    for title, address in addresses.items():
        echo(
            f"{title:>16}: {address}"
            + " (signs a browser in, once and within ten minutes)" * (title == "flows")
        )
        if browser and sys.stdout.isatty() and title != "last comparison":
            with callers_files():  # what is downloaded there
                webbrowser.open(address if title == "runs" else _redirect(home))


def _redirect(home: Home) -> str:
    """A file that leads to Prefect's page: the arguments of what opens a browser are seen by everybody on the
    machine.
    """
    from modelyard.files import write_atomically
    from modelyard.operations.sign_in import page_link

    page = home.state / "sign-in.html"
    write_atomically(
        page, f'<meta http-equiv="refresh" content="0; url={page_link(home)}">'.encode(), private=True
    )
    return page.as_uri()
