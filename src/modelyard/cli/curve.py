"""`modelyard data curve`: accuracy against labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.options import (
    PRESETS_HELP,
    AddressOption,
    DeviceOption,
    InitOption,
    JsonOption,
    LabelColumnOption,
    RunnerOption,
    SampleColumnOption,
    SkipOption,
    UnlabelledOption,
    WorkersOption,
    print_rows,
    with_columns,
)
from modelyard.home import Home
from modelyard.machine.how import DEFAULT_DEVICE
from modelyard.terminal.echo import echo

if TYPE_CHECKING:
    from modelyard.sweeps.curve import CurveRequest


def curve(
    dataset: Annotated[str, typer.Argument(help="A name of modelyard data list or a path.")],
    architecture: Annotated[str, typer.Option("--architecture", "-a", help="As in `run`.")] = "cnn",
    preset: Annotated[str, typer.Option(help=PRESETS_HELP)] = "smoke",
    points: Annotated[
        str, typer.Option(help="Labels of each point: 20,100,all. Default: 1, 10, 100 ... a class, and all.")
    ] = "",
    draws: Annotated[int, typer.Option(min=1, help="Of the labels and the seed, at each point.")] = 3,
    ways: Annotated[
        str,
        typer.Option(help="Of scratch, unlabelled, pre-trained, brought and linear (texts). Default: all."),
    ] = "",
    init: InitOption = "",
    unlabelled: UnlabelledOption = "",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Change a recipe value in all.")
    ] = None,
    sample_column: SampleColumnOption = None,
    label_column: LabelColumnOption = None,
    name: Annotated[
        str, typer.Option(help="The same again goes on. Default: curve, data set, architecture.")
    ] = "",
    runner: RunnerOption = "local",
    workers: WorkersOption = None,
    address: AddressOption = "",
    device: DeviceOption = DEFAULT_DEVICE,
    skip_unreadable: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """What labels are worth: accuracy against their number, from scratch, with the unlabelled rest,
    pre-trained, from brought weights and (texts) linear; and what more labels would bring.

    Few labels are drawn by class; validation keeps its size. Nothing is chosen on test. Finished trainings
    are never repeated.
    """
    from modelyard.sweeps.curve import CurveRequest, parse_points

    told = f"curve-{dataset}-{architecture}".replace("/", "-").replace(":", "-").strip("./").lower()
    request = CurveRequest(
        name=name or told, dataset=dataset, architecture=architecture, preset=preset, init=init,
        assignments=(*(assignments or []), *with_columns(sample_column, label_column)), unlabelled=unlabelled,
        ways=tuple(way.strip() for way in ways.split(",") if way.strip()), draws=draws, device=device,
        points=parse_points(points) if points else (), skip_unreadable=skip_unreadable,
    )  # fmt: skip
    found = _run(request, (runner, workers, address))
    if as_json:
        return echo(json.dumps(found))
    print_rows(found["rows"], f"{dataset}, {architecture}: test accuracy, mean over draws", as_json=False)
    folder = Home.current().sweeps / request.name
    echo(found["outlook"], f"table and picture: {folder} | modelyard ui")
    return _say_failed(found)


def _say_failed(found: dict[str, Any]) -> None:
    failed = [trial for trial in found["trials"] if trial["state"] == "failed"]
    for trial in failed:
        words = " ".join((trial["label"], *trial["assignments"]))
        echo(f"failed: {words}, draw {trial['seed']}: {trial['why']}", err=True)
    if failed:
        raise typer.Exit(1)


def _run(request: CurveRequest, engine: tuple[str, int | None, str]) -> dict[str, Any]:
    """The flow on its engine. Raises: ConfigError before anything starts."""
    from flows.session import flow_session
    from modelyard.machine.cores import usable_cores
    from modelyard.sweeps.request import check_runner
    from modelyard.training.precision import resolve_device

    runner, workers, address = engine[0], engine[1] or usable_cores(), engine[2]
    check_runner(runner, address)
    resolve_device(request.device)
    request.all_ways()
    request.claim(Home.current())
    with flow_session(lambda: request):
        from flows.curve import curve as curve_flow
        from flows.runners import make_runner

        cores = max(1, usable_cores() // workers)
        task_runner = make_runner(runner, workers, address)
        found: dict[str, Any] = curve_flow.with_options(task_runner=task_runner)(request, cores)
    return found
