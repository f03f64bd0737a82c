"""`modelyard schedule`: comparisons that run by themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli_options import PRESETS_HELP, JsonOption, SkipOption, print_rows
from modelyard.files import full_path
from modelyard.home import Home
from modelyard.terminal import echo

if TYPE_CHECKING:
    from modelyard.requests import CompareRequest

schedule_app = typer.Typer(no_args_is_help=True, help="Comparisons that run by themselves, while `modelyard up` runs.")
NameArgument = Annotated[str, typer.Argument(help="As `modelyard schedule list` shows it.")]


@contextmanager
def _prefect() -> Iterator[None]:
    """The Prefect server of `modelyard up`, or one for the moment on the same database."""
    from flows.ephemeral import server_for

    home = Home.current()
    with server_for(home) as server:
        if server:
            server.go()
        from flows.processes import prefect_session

        with prefect_session(home, server) as wait_until_ready:
            wait_until_ready()
            yield


@schedule_app.command("add")
def schedule_add(
    flow: Annotated[str, typer.Argument(help="What is run: compare.")],
    cron: Annotated[str, typer.Option(help="minute hour day month weekday: '0 2 * * *' is two at night.")],
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="auto, a name of `modelyard data list` or a path.")],
    timezone: Annotated[str, typer.Option(help="IANA name: Europe/Berlin.")] = "UTC",
    name: Annotated[str, typer.Option(help="The schedule's. Default: the data set's name.")] = "",
    model_name: Annotated[str, typer.Option(help="The model's, as `run --name` has it.")] = "",
    architecture: Annotated[list[str] | None, typer.Option("--architecture", "-a", help="As in `run`; repeatable.")] = None,
    preset: Annotated[str, typer.Option(help=PRESETS_HELP)] = "standard",
    assignments: Annotated[list[str] | None, typer.Option("--set", help="Change a recipe value.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    skip_unreadable: SkipOption = False,
    pool: Annotated[str, typer.Option(help="Prefect work pool; another one sends the runs elsewhere.")] = "modelyard",
) -> None:
    """Look at the data at these times; train, compare and promote when data, recipe or code changed.

    Runs never overlap. Runs that were missed are covered by one. A run that was killed is tried again, three times in all,
    and goes on from its last checkpoint.
    """
    from modelyard.data.imports import is_named
    from modelyard.errors import ConfigError

    if flow != "compare":
        raise ConfigError(f"unknown flow {flow!r}: expected compare")
    if not is_named(dataset) and Path(dataset).exists():
        dataset = str(Path(dataset).resolve())  # a worker has another working directory
    from flows.refresh import RefreshRequest
    from flows.schedule import NewSchedule, add, check_names, parse_cron
    from modelyard.own_modules import record
    from modelyard.requests import compare_request

    chosen = name or Path(dataset).name
    parse_cron(cron, timezone)
    check_names(chosen, pool)
    architectures = tuple(map(_from_anywhere, architecture or ()))
    request = RefreshRequest(
        dataset=dataset, architectures=architectures, preset=preset, assignments=tuple(assignments or ()), seed=seed,
        device=device, skip_unreadable=skip_unreadable, name=model_name,
    )  # fmt: skip
    wanted = compare_request(**request.model_dump())
    _check_data(wanted)
    record(Home.current(), wanted.own_modules())
    with _prefect():
        add(NewSchedule(name=chosen, cron=cron, timezone=timezone, request=request, pool=pool, environment=_environment()))
    echo(f"added {chosen}; it runs while modelyard up runs: modelyard schedule list | modelyard schedule run {chosen}")


def _from_anywhere(architecture: str) -> str:
    """The same for a worker, which has another working directory."""
    file, _, name = architecture.rpartition(":")
    return f"{full_path(file)}:{name}" if file else architecture


def _check_data(request: CompareRequest) -> None:
    """Raises: DataError when the data set cannot be had, or cannot be read."""
    from modelyard.data.sources import load_dataset

    data = next(iter(request.recipes.values())).data
    load_dataset(request.dataset, data.folder_options(skip_unreadable=request.skip_unreadable))


def _environment() -> dict[str, str]:
    """Where this command finds its store and data, for runs that start elsewhere."""
    found = {name: os.environ[name] for name in ("MODELYARD_CACHE", "MODELYARD_DATA") if os.environ.get(name)}
    return {name: str(Path(value).expanduser().resolve()) for name, value in found.items()} | {
        "MODELYARD_HOME": str(Home.current().root)
    }


@schedule_app.command("list")
def schedule_list(as_json: JsonOption = False) -> None:
    """All schedules: when they run, when next, how the last run ended."""
    from flows import schedule

    with _prefect():
        rows = schedule.rows()
    print_rows(rows, "schedules", as_json, "no schedule yet; add one with: modelyard schedule add --help")


@schedule_app.command("history")
def schedule_history(
    name: NameArgument,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many runs.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """The runs of one schedule, newest first."""
    from flows import schedule

    with _prefect():
        rows = schedule.history(name, limit)
    print_rows(rows, f"runs of {name}", as_json, "none was due yet")


@schedule_app.command("pause")
def schedule_pause(name: NameArgument) -> None:
    """Plan no more runs; one that is at work goes on."""
    from flows import schedule

    with _prefect():
        schedule.pause(name)
    echo(f"paused {name}; go on with: modelyard schedule resume {name}")


@schedule_app.command("resume")
def schedule_resume(name: NameArgument) -> None:
    """Plan runs again."""
    from flows import schedule

    with _prefect():
        schedule.resume(name)
    echo(f"resumed {name}")


@schedule_app.command("remove")
def schedule_remove(name: NameArgument) -> None:
    """Forget a schedule; its past runs stay."""
    from flows import schedule

    with _prefect():
        schedule.remove(name)
    echo(f"removed {name}")


@schedule_app.command("run")
def schedule_run(name: NameArgument) -> None:
    """Run a schedule once, now."""
    from flows import schedule

    with _prefect():
        run = schedule.run_now(name)
    echo(f"run {run} starts when the worker of modelyard up is free: modelyard schedule history {name}")


@schedule_app.command("trust")
def schedule_trust(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Python file of an own module.")],
) -> None:
    """Let scheduled runs import this file as it is now: one that was edited, or scheduled by an earlier version."""
    from modelyard.files import sha256_of_file
    from modelyard.own_modules import record

    path = file.resolve()
    record(Home.current(), {str(path): sha256_of_file(path)})
    echo(f"recorded {path}; scheduled runs import it until it is edited")
