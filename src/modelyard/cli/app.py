"""From a labelled data set to verified ONNX models, every architecture side by side.

Start with `modelyard run --dataset digits --preset smoke`, then look at `modelyard ui`.
"""

# Heavy imports happen inside the commands, so that --help is quick.
from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from contextlib import redirect_stdout
from typing import Annotated

import typer

import modelyard
from flows.session import run_compare
from modelyard.cli.alerts import alerts_app
from modelyard.cli.data import data_app
from modelyard.cli.models import models_app
from modelyard.cli.operate import down, env, restart, status, up
from modelyard.cli.options import (
    PRESETS_HELP,
    ArchitectureOption,
    DatasetOption,
    DeviceOption,
    InitOption,
    JsonOption,
    LabelColumnOption,
    LabelsOption,
    SampleColumnOption,
    SetOption,
    SkipOption,
    UnlabelledOption,
    print_rows,
    with_columns,
    with_labels,
    with_paths,
)
from modelyard.cli.pages import ui
from modelyard.cli.predict import predict
from modelyard.cli.registry import delete, repair, withdraw
from modelyard.cli.repository import repository_app
from modelyard.cli.schedule import schedule_app
from modelyard.cli.serve import serve
from modelyard.cli.store import gc, store_app
from modelyard.cli.sweep import sweep
from modelyard.cli.sync import sync
from modelyard.errors import ModelyardError, describe_fault
from modelyard.home import Home
from modelyard.machine.environment import configure, private_files
from modelyard.machine.how import DEFAULT_DEVICE
from modelyard.machine.sharing import told_to_reader
from modelyard.terminal.echo import echo
from modelyard.terminal.printable import printable

app = typer.Typer(
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=__doc__,
)
app.add_typer(data_app, name="data")
app.add_typer(alerts_app, name="alerts")
app.add_typer(models_app, name="models")
models_app.command()(repair)
models_app.command()(delete)
models_app.command()(withdraw)
app.add_typer(repository_app, name="repository")
app.add_typer(store_app, name="store")
for command in (up, status, down, restart, ui, env, gc, sweep, predict):
    app.command()(command)
app.add_typer(schedule_app, name="schedule")
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(serve)
app.command()(sync)


INTERRUPTED = 130
"""What typer makes of a KeyboardInterrupt."""
_signals: list[int] = []


def _say_version(asked: bool) -> None:
    if asked:
        echo(f"modelyard {modelyard.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say it and exit.")
    ] = False,
) -> None:
    """What stands before the command; --help and --version make no store."""
    configure(Home.current())


def _set_debug(debug: bool) -> None:
    if debug:
        os.environ["MODELYARD_DEBUG"] = "1"


DebugOption = Annotated[
    bool, typer.Option("--debug", callback=_set_debug, help="Show the whole trace of an error.")
]


@app.command()
def run(
    dataset: DatasetOption = "auto",
    architecture: ArchitectureOption = None,
    preset: Annotated[str, typer.Option(help=PRESETS_HELP)] = "standard",
    assignments: SetOption = None,
    labels: LabelsOption = 0,
    init: InitOption = "",
    unlabelled: UnlabelledOption = "",
    seed: Annotated[int, typer.Option(min=0, help="Weights, order and augmentation follow from it.")] = 0,
    device: DeviceOption = DEFAULT_DEVICE,
    skip_unreadable: SkipOption = False,
    sample_column: SampleColumnOption = None,
    label_column: LabelColumnOption = None,
    name: Annotated[
        str, typer.Option(help="The model's. Default: the data set's, or what the path is called.")
    ] = "",
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say which steps are done and which would run.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train, evaluate, export, verify and register every architecture; promote the best.

    Steps that were done before with the same data, recipe and code are skipped; an interrupted training goes
    on from its last epoch. Without --architecture the three tuned ones are compared: cnn, rnn and
    transformer. With networks of texts a linear model is always compared.
    """
    from modelyard.recipes.words import Words

    given = [*(assignments or []), *with_columns(sample_column, label_column), *with_paths(init, unlabelled)]
    words = Words(
        dataset=dataset, architectures=tuple(architecture or ()), preset=preset, seed=seed, device=device,
        assignments=with_labels(given, labels), skip_unreadable=skip_unreadable, name=name,
    )  # fmt: skip
    if plan:
        from modelyard.console.plan import plan_rows
        from modelyard.progress import ConsoleProgress
        from modelyard.recipes.request import compare_request

        with redirect_stdout(sys.stderr), ConsoleProgress():  # what an own module prints is no result
            rows = plan_rows(compare_request(words), Home.current())
        return print_rows(rows, f"plan for {dataset}: memory in MB", as_json)
    with redirect_stdout(sys.stderr):
        result = run_compare(words)
    if as_json:
        echo(json.dumps(result))
    else:
        from modelyard.console.tables import print_board

        print_board(result)
    return None


@app.command()
def doctor(
    relocate: Annotated[
        bool, typer.Option("--relocate", help="Repair a store that was moved or renamed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Versions, providers, cores, disk, sizes and the state of the store."""
    if relocate:
        from modelyard.tracking.relocation import relocate as relocate_store

        done = relocate_store(Home.current())
        return echo(json.dumps({"done": done}) if as_json else done)
    from modelyard.console.doctor import examine

    report = examine(Home.current())
    lines = [json.dumps(report)] if as_json else [f"{name:>22}  {value}" for name, value in report.items()]
    return echo(*lines)


def _terminate(number: int, _frame: object) -> None:
    """SIGTERM ends as Ctrl-C does: states are recorded and Prefect's server is stopped."""
    _signals.append(number)
    raise KeyboardInterrupt


@private_files()
def main() -> None:
    """Entry point: every expected error is one line and an exit code (2 input, 1 failure, 130 Ctrl-C, 143
    SIGTERM).
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(standalone_mode=False) or 0
    except Exception as error:
        code = _report(error)
    if code == INTERRUPTED:
        echo("modelyard: stopped; run the same command again to go on from the last checkpoint", err=True)
        code = 128 + _signals[0] if _signals else INTERRUPTED
    sys.exit(code)


def _report(error: Exception) -> int:
    """Say what to do about an expected error; anything else is a bug and keeps its trace."""
    usage_error = getattr(error, "show", None)
    if usage_error is not None:  # click's own: unknown option, value out of range
        vars(error).update(message=printable(vars(error).get("message", "")))
        usage_error()
        return 2
    fault: object = None
    if not os.environ.get("MODELYARD_DEBUG"):
        told = told_to_reader(Home.current(), error)
        fault = told or (error if isinstance(error, ModelyardError) else describe_fault(error))
    if fault is None:
        echo(*"".join(traceback.format_exception(error)).splitlines(), err=True)
        return 1
    echo(f"modelyard: {fault}", err=True)
    return error.exit_code if isinstance(error, ModelyardError) else 2
