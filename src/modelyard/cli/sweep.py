"""`modelyard sweep`: many trainings at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.options import (
    PRESETS_HELP,
    AddressOption,
    ArchitectureOption,
    DatasetOption,
    DeviceOption,
    JsonOption,
    LabelColumnOption,
    LabelsOption,
    RunnerOption,
    SampleColumnOption,
    SetOption,
    SkipOption,
    WorkersOption,
    print_rows,
    with_columns,
    with_labels,
)
from modelyard.home import Home
from modelyard.machine.how import DEFAULT_DEVICE
from modelyard.terminal.echo import echo

if TYPE_CHECKING:
    from modelyard.sweeps.request import SweepRequest


def sweep(
    dataset: DatasetOption = "auto",
    architecture: ArchitectureOption = None,
    preset: Annotated[str, typer.Option(help=PRESETS_HELP)] = "smoke",
    seeds: Annotated[str, typer.Option(help="0-19 or 0,1,2.")] = "0-4",
    assignments: SetOption = None,
    labels: LabelsOption = 0,
    sample_column: SampleColumnOption = None,
    label_column: LabelColumnOption = None,
    ranges: Annotated[
        list[str] | None, typer.Option("--range", help="key=low:high[:log] or key=a|b|c; repeatable.")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="With --range: configurations for each architecture. Default: 20."),
    ] = None,
    name: Annotated[
        str, typer.Option(help="The same again goes on where it ended. Default: data set and preset.")
    ] = "",
    model_name: Annotated[str, typer.Option(help="The model's, as `run --name` has it.")] = "",
    runner: RunnerOption = "local",
    workers: WorkersOption = None,
    address: AddressOption = "",
    device: DeviceOption = DEFAULT_DEVICE,
    compare: Annotated[
        bool, typer.Option("--compare", help="Then compare the best of each, as `run` does.")
    ] = False,
    skip_unreadable: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train many seeds and architectures, or search ranges of recipe values; mean and interval over seeds for
    each.

    Chosen by validation alone: the test images are not looked at before --compare. Finished trainings are
    never repeated, interrupted ones go on from their last epoch. With --range Optuna proposes values and
    gives up what falls behind.
    """
    from modelyard.sweeps.request import SweepRequest, check, parse_range, parse_seeds

    given = [*(assignments or []), *with_columns(sample_column, label_column)]
    parsed = tuple(parse_range(text) for text in ranges or ())
    request = SweepRequest(
        name=name or f"{dataset}-{preset}{'-search' if parsed else ''}".strip("./").replace("/", "-").lower(),
        dataset=dataset,
        architectures=tuple(architecture or ()),
        preset=preset,
        assignments=with_labels(given, labels),
        seeds=parse_seeds(seeds),
        ranges=parsed,
        trials=trials or (20 if parsed else 0),
        device=device,
        skip_unreadable=skip_unreadable,
        model_name=model_name,
    )
    check(request := request.with_names())
    found = _run(request, (runner, workers, address))
    _tell(request, found, as_json=as_json, compare=compare)


def _tell(request: SweepRequest, found: dict[str, Any], *, as_json: bool, compare: bool) -> None:
    """What came of it, and then the comparison; the exit code is 1 where a training failed."""
    if as_json:
        echo(json.dumps(found))
    elif found["configurations"]:
        print_rows(
            found["configurations"], f"sweep {request.name}: validation, mean over seeds", as_json=False
        )
    for trial in found["trials"]:
        if trial["state"] == "failed":
            echo(f"failed: {trial['label']} seed {trial['seed']}: {trial['why']}", err=True)
    if compare and found["configurations"]:
        _compare_best(request, found)
    elif not as_json:
        folder = Home.current().sweeps / request.name
        compared = "the same command with --compare | " if found["configurations"] else ""
        echo(f"summary and picture: {folder}", f"next: {compared}modelyard ui")
    if found["states"]["failed"]:
        raise typer.Exit(1)


def _run(request: SweepRequest, engine: tuple[str, int | None, str]) -> dict[str, Any]:
    """The flow on its engine. Raises: ConfigError before anything starts."""
    from flows.session import flow_session
    from modelyard.machine.cores import usable_cores
    from modelyard.sweeps.request import check_runner, claim_name
    from modelyard.sweeps.search import need_optuna
    from modelyard.training.precision import resolve_device

    if request.ranges:
        need_optuna()
    check_runner(engine[0], engine[2])
    resolve_device(request.device)
    claim_name(request, Home.current())
    with flow_session(lambda: request):
        from flows.runners import make_runner
        from flows.sweep import sweep as sweep_flow

        name, workers, address = engine[0], engine[1] or usable_cores(), engine[2]
        runner, cores = make_runner(name, workers, address), max(1, usable_cores() // workers)
        found: dict[str, Any] = sweep_flow.with_options(task_runner=runner)(request, cores)
    return found


def _compare_best(request: SweepRequest, found: dict[str, Any]) -> None:
    """Each architecture's best configuration with its first seed, and baselines of these data; what is
    trained is not trained again.
    """
    from flows.session import run_compare
    from modelyard.console.tables import print_board
    from modelyard.recipes.named import baselines
    from modelyard.sweeps.summary import best_by_label, configurations, from_record

    best = best_by_label(configurations([from_record(trial) for trial in found["trials"]]))
    recipes = {label: request.recipes(chosen.assignments)[label] for label, chosen in best.items()}
    print_board(run_compare(request.words, baselines(request.words) | recipes))
