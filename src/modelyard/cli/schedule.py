"""`modelyard schedule`: comparisons that run by themselves."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.options import (
    PRESETS_HELP,
    ArchitectureOption,
    DatasetOption,
    DeviceOption,
    JsonOption,
    LabelColumnOption,
    LabelsOption,
    SampleColumnOption,
    SetOption,
    SkipOption,
    print_rows,
    with_columns,
    with_labels,
)
from modelyard.errors import ConfigError, StoreError
from modelyard.home import Home
from modelyard.machine.how import DEFAULT_DEVICE
from modelyard.terminal.echo import echo

schedule_app = typer.Typer(
    no_args_is_help=True, help="Comparisons that run by themselves, while `modelyard up` runs."
)
NameArgument = Annotated[str, typer.Argument(help="As `modelyard schedule list` shows it.")]


@contextmanager
def _prefect() -> Iterator[bool]:
    """The Prefect server of `modelyard up`, or one for the moment on its database; whether it stays. Raises:
    StoreError.
    """
    import httpx

    from flows.ephemeral import server_for

    home = Home.current()
    with server_for(home) as server:
        if server:
            server.go()
        from flows.processes import prefect_session

        try:
            with prefect_session(home, server) as wait_until_ready:
                wait_until_ready()
                yield server is None or server.process is None
        except httpx.HTTPError as error:
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise StoreError(
                f"Prefect's server at {os.environ['PREFECT_API_URL']} does not do it ({why})"
            ) from None


@schedule_app.command("add")
def schedule_add(
    flow: Annotated[str, typer.Argument(help="What is run: compare.")],
    cron: Annotated[str, typer.Option(help="minute hour day month weekday: '0 2 * * *' is two at night.")],
    dataset: DatasetOption,
    timezone: Annotated[str, typer.Option(help="IANA name: Europe/Berlin.")] = "UTC",
    name: Annotated[str, typer.Option(help="The schedule's. Default: the data set's name.")] = "",
    model_name: Annotated[str, typer.Option(help="The model's, as `run --name` has it.")] = "",
    architecture: ArchitectureOption = None,
    preset: Annotated[str, typer.Option(help=PRESETS_HELP)] = "standard",
    assignments: SetOption = None,
    labels: LabelsOption = 0,
    sample_column: SampleColumnOption = None,
    label_column: LabelColumnOption = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: DeviceOption = DEFAULT_DEVICE,
    skip_unreadable: SkipOption = False,
    pool: Annotated[
        str, typer.Option(help="Prefect work pool; another one sends the runs elsewhere.")
    ] = "modelyard",
) -> None:
    """Look at the data at these times; train, compare and promote when data, recipe or code changed.

    Runs never overlap. Runs that were missed are covered by one. A run that was killed is tried again, three
    times in all, and goes on from its last checkpoint.
    """
    if flow != "compare":
        raise ConfigError(f"unknown flow {flow!r}: expected compare")
    from flows.ephemeral import is_own
    from flows.placement import placed
    from flows.schedule import NewSchedule, add, check_names
    from flows.times import parse_cron
    from modelyard.recipes.words import Words

    given = [*(assignments or []), *with_columns(sample_column, label_column)]
    chosen = name or Path(dataset).name
    parse_cron(cron, timezone)
    check_names(chosen, pool)
    request = Words(
        dataset=dataset, architectures=tuple(architecture or ()), preset=preset, seed=seed, device=device,
        assignments=with_labels(given, labels), skip_unreadable=skip_unreadable, name=model_name,
    )  # fmt: skip
    new = NewSchedule(name=chosen, cron=cron, timezone=timezone, request=request, pool=pool)
    new = placed(new, own_server=is_own(Home.current()))
    with _prefect() as is_served:
        add(new)
        _tell(f"added {chosen}; see modelyard schedule list", chosen, is_served)


@schedule_app.command("change")
def schedule_change(
    name: NameArgument,
    cron: Annotated[str, typer.Option(help="minute hour day month weekday.")] = "",
    timezone: Annotated[str, typer.Option(help="IANA name: Europe/Berlin.")] = "",
    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="As in `add`.")] = None,
    architectures: ArchitectureOption = None,
    preset: Annotated[str | None, typer.Option(help=PRESETS_HELP)] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Instead of all that was set.")
    ] = None,
    labels: Annotated[int | None, typer.Option(min=0, help="As in `run`; 0: on all.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    pool: Annotated[str, typer.Option(help="Prefect work pool.")] = "",
) -> None:
    """Give a schedule other times, words or another pool. What is not named stays, and its history does."""
    from flows import schedule
    from flows.ephemeral import is_own
    from flows.placement import placed

    words = {
        "dataset": dataset,
        "architectures": architectures,
        "preset": preset,
        "device": device,
        "assignments": assignments,
    }
    told, own_server = {key: word for key, word in words.items() if word is not None}, is_own(Home.current())
    with _prefect() as is_served:
        new = schedule.changed(name, told, labels)
        new = new.model_copy(update={"cron": cron, "timezone": timezone, "pool": pool or new.pool})
        schedule.change(placed(new, own_server=own_server) if told or labels is not None or pool else new)
        _tell(f"changed {name}", name, is_served)


def _tell(done: str, name: str, is_served: bool) -> None:
    """What was done, and what keeps its schedules from running."""
    from flows.outlook import rows

    found = [row for row in rows(is_served=is_served) if row["name"] == name and row["why"]]
    echo(done, *(f"  {row['cron'] or row['every']} {row['state']}: {row['why']}" for row in found))


@schedule_app.command("list")
def schedule_list(as_json: JsonOption = False) -> None:
    """All schedules: when they run, whether they do, when next, how the last run ended."""
    from flows.outlook import rows

    with _prefect() as is_served:
        found = rows(is_served=is_served)
    print_rows(found, "schedules", as_json, "no schedule yet; add one with: modelyard schedule add --help")


@schedule_app.command("history")
def schedule_history(
    name: NameArgument,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many runs.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """The runs of one schedule, newest first."""
    from flows.outlook import history

    with _prefect() as is_served:
        found = history(name, limit, is_served=is_served)
    print_rows(found, f"runs of {name}", as_json, "none was due yet")


@schedule_app.command("pause")
def schedule_pause(name: NameArgument) -> None:
    """Plan no more runs; one that is at work goes on."""
    from flows import schedule

    with _prefect():
        schedule.pause(name)
    echo(f"paused {name}; go on with: modelyard schedule resume {shlex.quote(name)}")


@schedule_app.command("resume")
def schedule_resume(name: NameArgument) -> None:
    """Plan runs again, by all of its schedules; or say what still prevents them."""
    from flows import schedule

    with _prefect() as is_served:
        _tell(f"resumed {schedule.resume(name)}", name, is_served)


@schedule_app.command("remove")
def schedule_remove(name: NameArgument) -> None:
    """Forget a schedule; its past runs stay."""
    from flows import schedule

    with _prefect():
        schedule.remove(name)
    echo(f"removed {name}")


@schedule_app.command("run")
def schedule_run(name: NameArgument) -> None:
    """Run a schedule once, now, be it paused or not."""
    from flows import schedule
    from flows.outlook import history

    with _prefect() as is_served:
        run, (newest, *_) = schedule.run_now(name), history(name, 1, is_served=is_served)
    echo(f"run {run}: {newest['why']}; see modelyard schedule history {shlex.quote(name)}")


@schedule_app.command("trust")
def schedule_trust(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Python file of an own module.")],
) -> None:
    """Let scheduled runs import this file, and what it imports from its folder, as they are now."""
    from modelyard.models.own_code import OwnCode
    from modelyard.models.own_modules import record

    code = OwnCode.read(file.resolve())
    record(Home.current(), code.files)
    echo(*(f"recorded {path}; scheduled runs import it until it is edited" for path in code.files))
