"""`modelyard models`: what is registered."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from modelyard.cli_options import JsonOption, print_rows
from modelyard.home import Home

models_app = typer.Typer(no_args_is_help=True, help="Look at the registered models.")


@models_app.command("list")
def models_list(as_json: JsonOption = False) -> None:
    """All registered versions."""
    from modelyard.tracking.registry import model_names, versions

    home = Home.current()
    rows = [version.as_row() for name in model_names(home) for version in versions(home, name)]
    if rows or as_json:
        print_rows(rows, "registered models", as_json)
    else:
        typer.echo("nothing is registered yet; start with: modelyard run")


@models_app.command("show")
def models_show(
    model: Annotated[str, typer.Argument(help="name, name@alias or name@number")], as_json: JsonOption = False
) -> None:
    """One version's card: where it comes from, how good, how fast, how large."""
    from modelyard.bundle import open_bundle
    from modelyard.predict import released_folder
    from modelyard.tables import print_card

    folder = released_folder(Home.current(), model)
    manifest = open_bundle(folder)
    typer.echo(json.dumps(asdict(manifest), indent=2)) if as_json else print_card(manifest, folder)
