"""`modelyard alerts`: what happened while nobody watched, and whether it was told."""

# Heavy imports happen inside the commands, so that --help is quick.
from __future__ import annotations

import json
from typing import Annotated

import typer

from modelyard.cli.options import JsonOption, print_rows
from modelyard.home import Home
from modelyard.terminal.echo import echo

alerts_app = typer.Typer(
    no_args_is_help=True,
    help="Failures, crashes, refusals and drift: recorded, and posted to the addresses in "
    "MODELYARD_WEBHOOK (url[,url]).",
)


@alerts_app.command("list")
def alerts_list(
    last: Annotated[int, typer.Option(min=1, help="How many, newest last.")] = 20, as_json: JsonOption = False
) -> None:
    """The last alerts of this store; `waiting` ones have not been taken by every webhook yet."""
    from modelyard.alerts.record import read_record

    entries = read_record(Home.current())[-last:]
    if as_json:
        echo(json.dumps(entries))
    elif not entries:
        echo("no alerts yet; try: modelyard alerts test")
    else:
        rows = [{name: entry[name] for name in ("time", "kind", "title", "state")} for entry in entries]
        print_rows(rows, "alerts", False)


@alerts_app.command("test")
def alerts_test() -> None:
    """Record a test alert, post it now and say what became of it."""
    from modelyard.alerts.record import record
    from modelyard.alerts.webhooks import addresses

    home, named = Home.current(), addresses()
    record(home, "test", "a test alert", {"sent by": "modelyard alerts test"})
    if not named:
        echo("recorded; MODELYARD_WEBHOOK names no address, so nothing was posted")
        return
    _send(home)


@alerts_app.command("send")
def alerts_send() -> None:
    """Post what waits, now."""
    _send(Home.current())


def _send(home: Home) -> None:
    """Exit code 1 when something still waits."""
    from modelyard.alerts.record import waiting_files
    from modelyard.alerts.webhooks import RETRY, addresses, deliver

    if not addresses() and waiting_files(home):
        count, remedy = len(waiting_files(home)), "set it, then modelyard alerts send"
        echo(f"modelyard: {count} waiting, but MODELYARD_WEBHOOK names no address; {remedy}", err=True)
        raise typer.Exit(1)
    done = deliver(home, RETRY.new(total=1))  # one more try: somebody waits for the answer
    echo(f"delivered: {done.delivered}, waiting: {len(waiting_files(home))}")
    for address, failure in done.failures.items():
        echo(
            f"modelyard: {address} did not take it: {failure}; it is kept, and sent with the next alert"
            " or by modelyard up",
            err=True,
        )
    if done.failures:
        raise typer.Exit(1)
