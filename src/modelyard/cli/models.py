"""`modelyard models`: what is registered, which version leads, and how it came to that."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from modelyard.cli.options import JsonOption, print_rows
from modelyard.home import Home
from modelyard.terminal.echo import echo

models_app = typer.Typer(
    no_args_is_help=True, help="Look at the registered models, promote, roll back and audit."
)
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Registered name, such as digits.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for the ledger.")]


@models_app.command("list")
def models_list(as_json: JsonOption = False) -> None:
    """All registered versions."""
    from modelyard.registry.standing import discrepancies
    from modelyard.registry.versions import model_names, versions

    home = Home.current()
    rows = [version.as_row() for name in model_names(home) for version in versions(home, name)]
    found = discrepancies(home)
    for row in rows if found else []:
        told = [str(each) for each in found if (each.model, each.version) == (row["name"], row["version"])]
        row["differs"] = told if as_json else "!" * bool(told)
    print_rows(rows, "registered models", as_json, "nothing is registered yet; start with: modelyard run")
    echo(*found, err=as_json)


@models_app.command("show")
def models_show(
    model: Annotated[str, typer.Argument(help="name, name@alias or name@number")], as_json: JsonOption = False
) -> None:
    """One version's card: where it comes from, how good, how fast, how large."""
    from modelyard.console.tables import print_card
    from modelyard.inference.files import released_folder
    from modelyard.releases.folders import read_release

    home = Home.current()
    folder = released_folder(home, model)
    manifest = read_release(folder).manifest
    if as_json:
        told = asdict(manifest) | manifest.signature.form.facts
        echo(*json.dumps(told, indent=2).splitlines())
    else:
        print_card(manifest, folder)
    if home.database.exists():
        from modelyard.registry.standing import discrepancies

        echo(*discrepancies(home, folder.parent.name), err=True)


@models_app.command("promote")
def models_promote(
    model: Annotated[
        str, typer.Argument(metavar="MODEL@VERSION", help="Which version, by number or alias: digits@3.")
    ],
    alias: Annotated[str, typer.Option(help="Alias to move.")] = "champion",
    reason: ReasonOption = "",
    force: Annotated[
        bool, typer.Option("--force", help="Although a gate failed; the ledger tells who and which.")
    ] = False,
) -> None:
    """Make a version champion if it passes its gates; what serves follows within a second.

    The gates are those that the version was last judged by (recipe.gates, see docs/promotion.md). Whether it
    is better on validation is not asked: that choice is yours here. Other aliases than champion ask for
    parity alone.

    Exit code 1: a gate refused it (the line names each); 2: the input is wrong or the bundle is damaged.
    """
    from modelyard.progress import ConsoleProgress
    from modelyard.promotion.manual import promote_version

    with ConsoleProgress():
        done = promote_version(Home.current(), model, alias, reason=reason, force=force)
    echo(done)


@models_app.command("rollback")
def models_rollback(
    model: ModelArgument,
    to: Annotated[
        int | None, typer.Option(help="A version that was champion before; else the one before this.")
    ] = None,
    reason: ReasonOption = "",
) -> None:
    """Make the version champion again that was it before; twice goes two steps back.

    A version that a rollback left is not promoted again by a run, only by hand.
    """
    from modelyard.progress import ConsoleProgress
    from modelyard.promotion.manual import rollback

    with ConsoleProgress():
        done = rollback(Home.current(), model, to, reason=reason)
    echo(done)


@models_app.command("history")
def models_history(
    model: ModelArgument,
    alias: Annotated[str | None, typer.Option(help="Only this alias.")] = None,
    at: Annotated[
        str | None, typer.Option(help="What each alias pointed to at this time, UTC unless it says +01:00.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check hash chain and releases; exit code 1 if altered.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Every move of an alias: when, who, from, to and why."""
    from modelyard.errors import ConfigError
    from modelyard.registry import history

    home = Home.current()
    if verify:
        return _verify(home, model, as_json)
    moves = history.alias_moves(home, model, alias)
    if at is None:
        rows = [move.entry for move in moves] if as_json else history.move_rows(moves)
        title = f"{model}: moves of aliases"
    else:
        moment = history.parse_time(at)
        rows, title = history.served_at(home, model, moment), f"{model} at {moment:%Y-%m-%d %H:%M:%S} UTC"
        rows = [row for row in rows if alias in {None, row["alias"]}]
        if not rows and not as_json:
            raise ConfigError(f"nothing was released then: the first move was at {moves[0].time}")
    return print_rows(rows, title, as_json)


def _verify(home: Home, model: str, as_json: bool) -> None:
    from modelyard.registry.history import verify

    found = verify(home, model)
    if as_json:
        echo(json.dumps({"model": model, "whole": not found.problems} | asdict(found)))
    else:
        echo(f"{model}: {'ALTERED' if found.problems else 'whole'}, {found.checked}", *found.problems)
    if found.problems:
        raise typer.Exit(1)


@models_app.command("diff")
def models_diff(
    first: Annotated[str, typer.Argument(metavar="A", help="name@alias or name@number")],
    second: Annotated[str, typer.Argument(metavar="B", help="name@alias or name@number")],
    as_json: JsonOption = False,
) -> None:
    """Two versions side by side: recipe, data, metrics, classes, and the answers that changed."""
    from modelyard.console.tables import print_difference
    from modelyard.promotion.difference import difference
    from modelyard.promotion.manual import find_version

    home = Home.current()
    found = difference(home, find_version(home, first), find_version(home, second))
    echo(json.dumps(found)) if as_json else print_difference(found)
