"""The commands that keep the store: `gc` and `store`."""

# Heavy imports happen inside the commands, so that --help is quick.
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.options import JsonOption, print_rows
from modelyard.errors import ConfigError
from modelyard.files import full_path
from modelyard.home import Home
from modelyard.machine.sharing import share, unshare
from modelyard.terminal.echo import echo

if TYPE_CHECKING:
    from modelyard.housekeeping.rubbish import Rubbish

store_app = typer.Typer(
    no_args_is_help=True, help="What the store takes on disk, its upgrade, and who may read it."
)


def gc(
    older_than: Annotated[
        str, typer.Option("--older-than", help="Only what is older: 30d, 12h, 2w, 0s.")
    ] = "30d",
    keep: Annotated[
        int, typer.Option(min=0, help="Keep releases that the last N moves of the ledger name.")
    ] = 10,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove what can be made again: old steps, checkpoints, logs and releases that nothing points to.

    What an alias or the last moves of the ledger name stays, with the steps that it came from; so does what a
    run that is not finished works on, the ledger, and what is known of the data. Safe beside runs and
    servers.
    """
    from modelyard.housekeeping.rubbish import (
        Policy,
        compact_database,
        find_rubbish,
        parse_age,
        remove_rubbish,
    )

    home, policy = Home.current(), Policy(parse_age(older_than), keep)
    if not home.root.is_dir():
        found: list[Rubbish] = []
    elif dry_run:
        found = find_rubbish(home, policy)
    else:
        found = remove_rubbish(home, policy)
    database = compact_database(home) if home.database.exists() and not dry_run else 0
    rows = _rows(found, database)
    if as_json:
        items = [
            {"kind": item.kind, "path": os.path.relpath(item.path, home.root), "bytes": item.bytes}
            for item in found
        ]
        echo(json.dumps({"dry_run": dry_run, "kinds": rows, "items": items}))
    elif rows:
        print_rows(rows, "would be removed" if dry_run else f"removed from {home.root}", as_json=False)
    else:
        echo(f"nothing to remove in {home.root}: nothing older than {older_than} can go")


def _rows(found: list[Rubbish], database: int) -> list[dict[str, Any]]:
    """One row for each kind, and their sum."""
    sizes = {
        kind: [item.bytes for item in found if item.kind == kind]
        for kind in sorted({item.kind for item in found})
    }
    if database:
        sizes["database"] = [database]
    if sizes:
        sizes["total"] = [size for kind in sizes.values() for size in kind]
    return [
        {"what": what, "count": len(kind), "MB": round(sum(kind) / 1e6, 2)} for what, kind in sizes.items()
    ]


@store_app.command("show")
def store_show(as_json: JsonOption = False) -> None:
    """What each part of the store takes on disk; the cache is shared with other stores and not in
    the total.
    """
    from modelyard.housekeeping.sizes import size_rows, store_sizes

    home = Home.current()
    if as_json:
        echo(json.dumps({"store": str(home.root), "bytes": store_sizes(home)}))
    else:
        print_rows(size_rows(home), f"store {home.root}", as_json=False)


@store_app.command("upgrade")
def store_upgrade(as_json: JsonOption = False) -> None:
    """Bring an older MLflow database to the installed MLflow's schema; a copy is made first and put back on
    failure.
    """
    from modelyard.tracking.upgrade import upgrade

    done = upgrade(Home.current())
    echo(json.dumps({"done": done}) if as_json else done)


@store_app.command("share")
def store_share(
    group: Annotated[
        str | None, typer.Option(help="Name or number. Default: the group that the store's folder has.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Close it to all but its owner again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a group read releases, ledgers and MLflow's database, new ones too: for readers and for a
    container's user.
    """
    if off and group is not None:
        raise ConfigError("--off closes the store to every group: leave out --group")
    home = Home.current()
    number = None if off else share(home, group)
    if off:
        unshare(home)
    done = (
        f"group {number} may read the releases, ledgers and database of"
        if number is not None
        else "its owner alone may read"
    )
    echo(json.dumps({"store": str(home.root), "group": number}) if as_json else f"{done} {home.root}")


@store_app.command("backup")
def store_backup(
    file: Annotated[Path, typer.Argument(help="A new file outside the store: backup.tar.")],
    as_json: JsonOption = False,
) -> None:
    """The whole store in one file, also while `modelyard up` and runs use it; it is read back before it is
    kept.

    Left out: checkpoints (an interrupted training begins anew), logs, and what `up` makes at each start.
    """
    from modelyard.housekeeping.backup import backup
    from modelyard.progress import ConsoleProgress

    with ConsoleProgress():
        done = backup(Home.current(), full_path(file))
    echo(json.dumps({"done": done}) if as_json else done)


@store_app.command("restore")
def store_restore(
    file: Annotated[Path, typer.Argument(help="What `modelyard store backup` wrote.")],
    as_json: JsonOption = False,
) -> None:
    """Make an empty MODELYARD_HOME the store that a backup holds, here or on another machine; every file is
    checked.
    """
    from modelyard.housekeeping.backup import restore
    from modelyard.progress import ConsoleProgress

    with ConsoleProgress():
        done = restore(Home.current(), full_path(file))
    echo(json.dumps({"done": done}) if as_json else done)
