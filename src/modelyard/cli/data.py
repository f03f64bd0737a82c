"""The `data` commands."""

# Heavy imports happen inside the commands, so that --help is quick.
from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from modelyard.cli.curve import curve
from modelyard.cli.drift import drift
from modelyard.cli.label_next import label_next
from modelyard.cli.options import (
    JsonOption,
    LabelColumnOption,
    SampleColumnOption,
    SkipOption,
    folder_options,
    load,
    print_first,
    print_rows,
    with_columns,
    writing,
)
from modelyard.terminal.echo import echo

if TYPE_CHECKING:
    from modelyard.data.datasets import Dataset

SetOption = Annotated[list[str] | None, typer.Option("--set", help="As of a run: data.fit=pad.")]
data_app = typer.Typer(no_args_is_help=True, help="Look at, fetch, import and remove data sets.")
data_app.command()(drift)
data_app.command()(curve)
data_app.command("next")(label_next)


@data_app.command("list")
def data_list(as_json: JsonOption = False) -> None:
    """The named data sets, built in and imported, and where they come from."""
    from modelyard.sources.sources import available

    rows = [{"name": name, "state": state} for name, state in available().items()]
    print_rows(rows, "data sets", as_json)


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="One of modelyard data list.")]) -> None:
    """Bring a named data set into the cache and print its digest."""
    echo(*_summary(load(name)))


@data_app.command("show")
def data_show(
    dataset: Annotated[
        str, typer.Argument(help="A name of modelyard data list or the path of a folder, archive or table.")
    ],
    height: Annotated[int | None, typer.Option(help="Pixels, as --set data.height.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels, as --set data.width.")] = None,
    sample_column: SampleColumnOption = None,
    label_column: LabelColumnOption = None,
    assignments: SetOption = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Write some samples of each class into this file: images PNG, texts HTML."),
    ] = None,
    skip_unreadable: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """What a run would train on: counts, sizes and faults (duplicates, leaks, conflicting labels, blanks); of
    texts lengths, what is cut, and examples.
    """
    from modelyard.inspection.inspect import describe

    columns = with_columns(sample_column, label_column)
    words = [*(assignments or []), *_as_words(height=height, width=width), *columns]
    loaded = load(dataset, words, skip_unreadable=skip_unreadable)
    description = describe(loaded)
    if picture is not None:
        description |= {_draw(loaded, picture): str(picture)}
    echo(json.dumps(description)) if as_json else _print_description(description, loaded.form.names.many)


def _as_words(**options: object) -> list[str]:
    return [f"data.{name}={value}" for name, value in options.items() if value is not None]


def _draw(dataset: Dataset, picture: Path) -> str:
    """Gives the name of what was drawn. Raises: DataError."""
    from modelyard.inspection.measures import measures_of

    measures = measures_of(dataset.form)
    with writing("--picture", picture):
        measures.draw(dataset, picture)
    return measures.sheet


@data_app.command("import")
def data_import(
    folder: Annotated[
        str,
        typer.Argument(help="Folder (class_name/*.png|jpg|txt, train/, val/, test/; IDX), archive or table."),
    ],
    name: Annotated[
        str | None, typer.Option(help="Its name from now on; by default the folder's, made to fit.")
    ] = None,
    height: Annotated[int | None, typer.Option(help="Pixels; by default the majority's.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels; by default the majority's.")] = None,
    channels: Annotated[
        Literal["1", "3"] | None, typer.Option(help="1 grey, 3 colour; by default the majority's.")
    ] = None,
    sample_column: SampleColumnOption = None,
    label_column: LabelColumnOption = None,
    assignments: SetOption = None,
    skip_unreadable: SkipOption = False,
) -> None:
    """Bring your own data into the cache under a name that every command takes; the folder may go
    afterwards.
    """
    from modelyard.home import Home
    from modelyard.progress import ConsoleProgress
    from modelyard.releases.folders import champion_size
    from modelyard.sources.imports import import_dataset, own_name
    from modelyard.sources.unread import check_address

    check_address(folder)
    name = name or own_name(Path(folder))
    sides = _as_words(height=height, width=width, channels=channels)
    columns = with_columns(sample_column, label_column)
    options = folder_options(
        [*(assignments or []), *sides, *columns],
        skip_unreadable,
        champion_size(Home.current().releases, name),
    )
    with ConsoleProgress() as progress:
        imported = import_dataset(Path(folder), name, options, progress.work)
    dataset, previous = imported.dataset, imported.previous
    echo(*_summary(dataset))
    if previous == dataset.digest:
        echo(f"nothing changed: {dataset.name} had this content already")
        return
    if previous:
        echo(f"replaced what {dataset.name} stood for, digest {previous}")
    echo(f"next: modelyard data show {dataset.name} | modelyard run --dataset {dataset.name}")


@data_app.command("remove")
def data_remove(name: Annotated[str, typer.Argument(help="An imported data set.")]) -> None:
    """Drop an imported data set from the cache; its models and runs stay."""
    from modelyard.sources.imports import remove_import

    remove_import(name)
    echo(f"removed {name} from the cache; models trained on it stay")


def _summary(dataset: Dataset) -> list[str]:
    many = dataset.form.names.many
    line = (
        f"{dataset.name}: {len(dataset.train)} training and {len(dataset.test)} test {many}, "
        f"digest {dataset.digest}"
    )
    return [line, *dataset.origin.get("notes", [])]


def _print_description(description: dict[str, Any], many: str) -> None:
    counts = [{"class": name, **values} for name, values in description.pop("counts").items()]
    print_first(counts, description.pop("name"), "classes")
    origin, equal, advice = (description.pop(key) for key in ("origin", "examples of those", "advice"))
    examples = description.pop("examples", [])
    hidden = ("unreadable files left out", "notes", "how decoded")
    facts = {name: fact for name, fact in origin.items() if name not in hidden} | description
    for name, fact in facts.items():
        text = (
            ", ".join(f"{part} {value:,}" for part, value in fact.items()) if isinstance(fact, dict) else fact
        )
        echo(f"{name:>35}  {text}")
    for text in [*(f"equal {many}: {example}" for example in equal), *origin.get("notes", [])]:
        echo(f"{'':>35}  {text}")
    if examples:
        print_rows(examples, f"examples ({many})", as_json=False)
    echo(*(f"advice: {text}" for text in advice))
