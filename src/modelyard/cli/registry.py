"""`modelyard models repair | delete | withdraw`: what was taken away in MLflow's page, or is to be taken away
here.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from modelyard.cli.models import ReasonOption
from modelyard.cli.options import JsonOption
from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.progress import ConsoleProgress
from modelyard.terminal.echo import echo


def repair(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Only this model; else all.")] = "",
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over aliases moved in MLflow, if the gates allow.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell only.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Settle what somebody deleted, renamed, moved or edited in MLflow.

    What can be restored is; else its aliases end, in the ledger too, and releases stay. Exit code 1: not all
    was settled.
    """
    from modelyard.promotion.repairs import Settlement, settle_all
    from modelyard.registry.standing import discrepancies

    home = Home.current()
    with ConsoleProgress():
        settled = (
            [Settlement(each, "") for each in discrepancies(home, model)]
            if dry_run
            else list(settle_all(home, model, adopt=adopt))
        )
    if as_json:
        echo(json.dumps([asdict(each.discrepancy) | {"done": each.done} for each in settled]))
    else:
        lines = [f"{each.discrepancy}{f' -> {each.done}' if each.done else ''}" for each in settled]
        echo(*(lines or ["nothing differs"]))
    if any(each.failed for each in settled):
        raise typer.Exit(1)


def delete(
    what: Annotated[
        str, typer.Argument(metavar="[MODEL[@NUMBER]]", help="A version, or a model without a champion.")
    ] = "",
    run: Annotated[
        str, typer.Option("--run", help="Instead: an MLflow run that no version comes of, by its id.")
    ] = "",
    reason: ReasonOption = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a version or a model with its releases, or a run. What an alias names stays; so does
    the ledger.
    """
    from modelyard.promotion import repairs

    if bool(what) == bool(run):
        raise ConfigError("expected MODEL@NUMBER, MODEL or --run ID, one of them")
    if not yes and not sys.stdin.isatty():
        raise ConfigError(f"nobody can be asked here whether {what or f'run {run}'} may go: add --yes")
    if not yes and not typer.confirm(f"delete {what or f'run {run}'} for good?"):
        raise typer.Exit(1)
    with ConsoleProgress():
        home = Home.current()
        echo(
            repairs.delete_run(home, run) if run else repairs.delete(home, what, reason or "deleted by hand")
        )


def withdraw(
    reference: Annotated[
        str, typer.Argument(metavar="MODEL@ALIAS", help="Which alias ends: digits@staging.")
    ],
    reason: ReasonOption = "",
) -> None:
    """End an alias; a champion that is withdrawn is served no more."""
    from modelyard.promotion import repairs

    model, _, alias = reference.partition("@")
    with ConsoleProgress():
        echo(repairs.withdraw(Home.current(), model, alias, reason or "withdrawn by hand"))
