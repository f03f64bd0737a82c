"""Options that several commands share, and how they print rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.errors import DataError, StoreError
from modelyard.machine.environment import callers_files
from modelyard.terminal.echo import echo

if TYPE_CHECKING:
    from modelyard.data.datasets import Dataset
    from modelyard.data.options import FolderOptions

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
SkipOption = Annotated[
    bool, typer.Option("--skip-unreadable", help="Leave out images, or texts, that cannot be read.")
]
DatasetOption = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        help="auto, a name of `modelyard data list`, or a folder, archive or table of images or texts.",
    ),
]
ArchitectureOption = Annotated[
    list[str] | None,
    typer.Option(
        "--architecture",
        "-a",
        help="cnn, rnn, transformer, another of ours (a wrong name lists all), file.py:Class, "
        "torchvision:NAME or timm:NAME; repeatable.",
    ),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change a recipe value: training.epochs=3.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
PRESETS_HELP = "smoke (tries the whole way), sprint (fast), tiny (small), standard or quality (longest)."
LabelsOption = Annotated[
    int, typer.Option(min=0, help="Train on so few samples, drawn from each class; 0: on all.")
]
SampleColumnOption = Annotated[
    str | None,
    typer.Option("--text-column", help="Of a table of texts; its number without names. Default: by name."),
]
LabelColumnOption = Annotated[
    str | None, typer.Option("--label-column", help="Of a table of texts. Default: found by its name.")
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="name, name@alias or name@number; needed where there are several models."
    ),
]
InitOption = Annotated[
    str,
    typer.Option(
        "--init",
        help="Weights to start from: NAME@ALIAS, a .safetensors or .pth file, a Hugging Face folder.",
    ),
]
UnlabelledOption = Annotated[
    str,
    typer.Option("--unlabelled", help="More samples, without labels, for pretrain or training.unlabelled."),
]
RunnerOption = Annotated[str, typer.Option(help="local, dask or ray.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Trainings beside each other. Default: the usable cores.")
]
AddressOption = Annotated[str, typer.Option(help="Of an existing Dask or Ray cluster.")]
MOST_ROWS = 40


def with_labels(assignments: list[str] | None, labels: int) -> tuple[str, ...]:
    """The words of `--set` with those of `--labels`."""
    return (*(assignments or ()), *([f"data.labels={labels}"] if labels else ()))


def with_columns(sample: str | None, label: str | None) -> list[str]:
    """The words of `--set` for `--text-column` and `--label-column`."""
    given = {"data.sample_column": sample, "data.label_column": label}
    return [f"{key}={json.dumps(name)}" for key, name in given.items() if name is not None]


def with_paths(init: str, unlabelled: str) -> list[str]:
    """The words of `--set` for `--init` and `--unlabelled`."""
    given = {"init": init, "data.unlabelled": unlabelled}
    return [f"{key}={json.dumps(path)}" for key, path in given.items() if path]


@contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Of a file that the caller names. Raises: DataError."""
    try:
        with callers_files():
            yield
    except (OSError, StoreError) as error:
        why = getattr(error.__cause__ or error, "strerror", None) or error
        raise DataError(
            f"{option} {path}: cannot be written ({why}); name a file in a folder of yours"
        ) from None


def print_rows(rows: list[dict[str, Any]], title: str, as_json: bool, none: str = "") -> None:
    """A table for people, or `none` where it would be empty; JSON for scripts."""
    if as_json or not rows:
        return echo(json.dumps(rows, default=datetime.isoformat) if as_json else none)
    from modelyard.console.tables import print_table

    return print_table(rows, title)


def print_first(rows: Sequence[dict[str, Any]], title: str, what: str) -> None:
    """A table of the first rows, and how many more there are of `what`."""
    from modelyard.console.tables import print_table

    print_table(rows[:MOST_ROWS], title)
    if len(rows) > MOST_ROWS:
        echo(f"... and {len(rows) - MOST_ROWS} more {what} (--json lists all)")


def folder_options(
    assignments: Sequence[str], skip_unreadable: bool, size_before: tuple[int, int] | None
) -> FolderOptions:
    """What `--set` says of reading a folder. Raises: ConfigError."""
    from modelyard.data.splits import DataConfig

    data = DataConfig().override([assignment.strip().removeprefix("data.") for assignment in assignments])
    return data.folder_options(skip_unreadable=skip_unreadable, size_before=size_before)


def load(name: str, assignments: Sequence[str] = (), *, skip_unreadable: bool = False) -> Dataset:
    """A data set by name or folder as a run with these `--set` would read it, with its progress.

    Raises: DataError, ConfigError.
    """
    from modelyard.home import Home
    from modelyard.progress import ConsoleProgress
    from modelyard.sources.sources import load_dataset
    from modelyard.steps.naming import champions_size

    options = folder_options(assignments, skip_unreadable, champions_size(Home.current(), name))
    with ConsoleProgress() as progress:
        return load_dataset(name, options, progress.work)
