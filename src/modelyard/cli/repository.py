"""`modelyard repository`: the releases in the layout of other servers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.options import JsonOption, print_rows
from modelyard.home import Home
from modelyard.machine.environment import callers_files
from modelyard.terminal.echo import echo

repository_app = typer.Typer(no_args_is_help=True, help="Hand the released models to other servers.")


@repository_app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="New, empty or exported before.")],
    as_json: JsonOption = False,
) -> None:
    """Write every released alias as a model that Triton and KServe load, config.pbtxt included."""
    from modelyard.serving.triton import export_repository

    with callers_files():  # another server's user reads it
        exported = export_repository(Home.current().releases, folder)
    rows = [{"name": one.name, "version": int(one.version)} for one in exported]
    print_rows(rows, str(folder), as_json)
    if not as_json:
        echo(f"next: tritonserver --model-repository={folder.resolve()}")
