"""`modelyard repository`: the releases in the layout of other servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from modelyard.environment import callers_files
from modelyard.home import Home
from modelyard.terminal import echo

repository_app = typer.Typer(no_args_is_help=True, help="Hand the released models to other servers.")


@repository_app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="New, empty or exported before.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Write every released alias as a model that Triton and KServe load, config.pbtxt included."""
    from modelyard.serving.triton import export_repository
    from modelyard.tables import print_table

    with callers_files():  # another server's user reads it
        exported = export_repository(Home.current().releases, folder)
    rows = [{"name": one.name, "version": int(one.version)} for one in exported]
    if as_json:
        echo(json.dumps(rows))
        return
    print_table(rows, str(folder))
    echo(f"next: tritonserver --model-repository={folder.resolve()}")
