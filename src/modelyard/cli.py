"""The `modelyard` command. Heavy imports happen inside the commands, so that --help is quick."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.environment import configure
from modelyard.errors import ModelyardError
from modelyard.home import Home
from modelyard.progress import ConsoleProgress

if TYPE_CHECKING:
    from modelyard.recipes import Recipe
    from modelyard.steps import CompareRequest

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="Look at and fetch data sets.")
models_app = typer.Typer(no_args_is_help=True, help="Look at the registered models.")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")

DatasetOption = Annotated[
    str, typer.Option("--dataset", "-d", help="auto, digits, mnist, fashion-mnist, kmnist, cifar10 or a folder")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command()
def run(
    dataset: DatasetOption = "auto",
    architecture: Annotated[
        list[str] | None,
        typer.Option("--architecture", "-a", help="cnn, rnn, transformer, lenet, lstm, vit or file.py:Class; repeatable"),
    ] = None,
    preset: Annotated[str, typer.Option(help="smoke (a minute), standard or quality (long)")] = "standard",
    assignments: Annotated[list[str] | None, typer.Option("--set", help="Change one recipe value: training.epochs=3")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    skip_unreadable: Annotated[bool, typer.Option(help="Leave out image files that cannot be read.")] = False,
    plan: Annotated[bool, typer.Option(help="Only say which steps are done and which would run.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train, evaluate, export, verify and register every architecture; promote the best."""
    from modelyard.recipes import ARCHITECTURES, make_recipe
    from modelyard.steps import CompareRequest
    from modelyard.training.precision import resolve_device

    resolve_device(device)
    recipes = {name: make_recipe(name, preset).override(assignments or []) for name in architecture or ARCHITECTURES}
    if plan:
        return _show_plan(dataset, recipes, seed, as_json)
    result = _compare(
        CompareRequest(dataset=dataset, recipes=recipes, seed=seed, device=device, skip_unreadable=skip_unreadable)
    )
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show_board(result)
    return None


def _compare(request: CompareRequest) -> dict[str, Any]:
    """Run the flow; Prefect's server starts while torch and MLflow are imported."""
    signal.signal(signal.SIGTERM, _interrupt)
    from flows.processes import prefect_session

    with prefect_session(Home.current()) as wait_until_ready, ConsoleProgress():
        from flows.compare import compare

        wait_until_ready()
        result: dict[str, Any] = compare(request)
    return result


def _interrupt(_signal: int, _frame: object) -> None:
    """SIGTERM ends as Ctrl-C does: states are recorded and Prefect's server is stopped."""
    raise KeyboardInterrupt


def _show_board(result: dict[str, Any]) -> None:
    from rich.console import Console

    _table(result["board"], f"{result['dataset']}: every architecture on the same test images")
    champion = "promoted" if result["promoted"] else "champion unchanged"
    Console().print(
        f"{champion}: {result['why']}\nnext: modelyard ui | modelyard models show {result['dataset']}", highlight=False
    )


def _table(rows: list[dict[str, Any]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column in ("architecture", "name", "aliases") else "right")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _show_plan(dataset: str, recipes: dict[str, Recipe], seed: int, as_json: bool) -> None:
    from modelyard.steps import BuildRequest, prepare

    home = Home.current()
    prepared, rows = prepare(dataset, home), []
    for label, recipe in recipes.items():
        request = BuildRequest(recipe=recipe, label=label, seed=seed, **prepared)
        folders = {
            "train": request.training_folder(home),
            "evaluate": request.evaluation_folder(home),
            "export": request.bundle_folder(home),
        }
        rows += [
            {"architecture": label, "step": step, "state": "done" if folder.exists() else "to do", "folder": folder.name}
            for step, folder in folders.items()
        ]
    typer.echo(json.dumps(rows)) if as_json else _table(rows, f"plan for {prepared['dataset']}")


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Image files")],
    model: Annotated[str, typer.Option(help="name@alias, such as mnist@champion")] = "mnist@champion",
    as_json: JsonOption = False,
) -> None:
    """Classify image files with a released model; needs onnxruntime only."""
    from modelyard.predict import predict_files

    for row in predict_files(Home.current(), model, images):
        typer.echo(
            json.dumps(row) if as_json else f"{row['image']}  {row['label']}  {row['probability']:.1%}  {row['ms']:.2f} ms"
        )


@data_app.command("list")
def data_list() -> None:
    """The named data sets."""
    from modelyard.data.sources import NAMES

    typer.echo("\n".join(NAMES))


@data_app.command("fetch")
def data_fetch(dataset: str) -> None:
    """Bring a named data set into the cache and print its digest."""
    from modelyard.data.sources import load_dataset

    typer.echo(f"{dataset}: {load_dataset(dataset).digest}")


@data_app.command("show")
def data_show(
    dataset: str,
    picture: Annotated[Path, typer.Option(help="Where the contact sheet goes")] = Path("contact-sheet.png"),
    skip_unreadable: Annotated[bool, typer.Option("--skip-unreadable", help="Leave out files that cannot be read.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Counts, size, duplicates and leaks between the splits, and a contact sheet."""
    from modelyard.data.folder import FolderOptions
    from modelyard.data.inspect import describe
    from modelyard.data.sources import load_dataset
    from modelyard.evaluation.plots import contact_sheet

    loaded = load_dataset(dataset, FolderOptions(skip_unreadable=skip_unreadable))
    description = describe(loaded)
    contact_sheet(loaded, picture)
    if as_json:
        typer.echo(json.dumps(description))
        return
    counts = description.pop("counts")
    _table([{"name": name, **values} for name, values in counts.items()], loaded.name)
    typer.echo("\n".join(f"{name}: {value}" for name, value in description.items()) + f"\ncontact sheet: {picture}")


@data_app.command("import")
def data_import(
    folder: Annotated[Path, typer.Argument(help="class_name/*.png|jpg, optional train/ and test/")],
    skip_unreadable: Annotated[bool, typer.Option("--skip-unreadable", help="Leave out files that cannot be read.")] = False,
) -> None:
    """Decode a folder of images once; later runs on the unchanged folder reuse it."""
    from modelyard.data.folder import FolderOptions
    from modelyard.data.sources import load_dataset

    loaded = load_dataset(str(folder.resolve()), FolderOptions(skip_unreadable=skip_unreadable))
    typer.echo(f"{loaded.name}: {len(loaded.train)} training and {len(loaded.test)} test images, digest {loaded.digest}")


@models_app.command("list")
def models_list(as_json: JsonOption = False) -> None:
    """All registered versions."""
    from modelyard.tracking.registry import model_names, versions

    home = Home.current()
    rows = [
        {"name": name, "version": v.number, "architecture": v.tags.get("label"), "aliases": ", ".join(v.aliases),
         "validation": v.tags.get("validation_accuracy", "")[:7]}
        for name in model_names(home) for v in versions(home, name)
    ]  # fmt: skip
    if as_json:
        typer.echo(json.dumps(rows))
    elif rows:
        _table(rows, "registered models")
    else:
        typer.echo("nothing is registered yet; start with: modelyard run")


@models_app.command("show")
def models_show(model: Annotated[str, typer.Argument(help="name or name@alias")]) -> None:
    """One version's manifest as JSON."""
    from modelyard.bundle import open_bundle
    from modelyard.tracking.registry import find_version

    name, _, alias = model.partition("@")
    home = Home.current()
    version = find_version(home, name, alias or "champion")
    typer.echo(open_bundle(home.releases / name / str(version.number)).model_dump_json(indent=2))


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Versions, providers, cores, disk and the state of the store."""
    from modelyard.doctor import examine

    report = examine(Home.current())
    typer.echo(json.dumps(report) if as_json else "\n".join(f"{name:>22}  {value}" for name, value in report.items()))


@app.command()
def ui(
    mlflow_port: Annotated[int, typer.Option(help="Port of MLflow")] = 5000,
    prefect_port: Annotated[int, typer.Option(help="Port of Prefect")] = 4200,
) -> None:
    """Serve the MLflow and Prefect pages until Ctrl-C."""
    from modelyard.pages import serve_pages

    signal.signal(signal.SIGTERM, _interrupt)
    serve_pages(Home.current(), mlflow_port, prefect_port, typer.echo)


def main() -> None:
    """Entry point: every expected error is one line and an exit code."""
    configure(Home.current())
    code = 0
    try:
        app(standalone_mode=True)
    except ModelyardError as error:
        if os.environ.get("MODELYARD_DEBUG"):
            raise
        typer.echo(f"modelyard: {error}", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        typer.echo("modelyard: stopped; run the same command again to go on from the last checkpoint", err=True)
        code = 130
    sys.exit(code)
