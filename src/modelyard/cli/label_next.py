"""`modelyard data next`: which samples to label next."""

# Heavy imports happen inside the command, so that --help is quick.
from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.options import JsonOption, ModelOption, folder_options, load, print_rows, writing
from modelyard.errors import DataError
from modelyard.files import write_atomically
from modelyard.terminal.echo import echo
from modelyard.terminal.printable import elided

if TYPE_CHECKING:
    from modelyard.bundle import Manifest
    from modelyard.data.datasets import Dataset
    from modelyard.sources.found import Unsorted

SHOWN = 100
"""Characters of a cell of the table."""


def label_next(
    dataset: Annotated[
        str, typer.Argument(help="What the model was trained on: a name or path, as of a run.")
    ],
    unlabelled: Annotated[
        str, typer.Option("--unlabelled", help="Samples to choose from: a folder, archive, table or name.")
    ],
    model: ModelOption = "",
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Another one draws others.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the list into this file, as CSV.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Write a sheet of them into this file: images PNG, texts HTML.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Which samples to label next: of which a released model is unsure, and which are unlike each other.

    What is in the data set already, and all but one of equal samples, is left out. Needs onnxruntime only.
    """
    from modelyard.home import Home
    from modelyard.inference.files import released_folder
    from modelyard.inspection.label_next import choose
    from modelyard.inspection.measures import measures_of
    from modelyard.releases.folders import read_release

    bundle = read_release(released_folder(Home.current(), model))
    with TemporaryDirectory() as scratch:
        data, found = _read(dataset, unlabelled, bundle.manifest, Path(scratch))
        echo(*(f"NOTE: {note}" for note in found.notes), err=True)
        chosen = choose(bundle, data, found, count, seed)
        rows, many = chosen.rows, data.form.names.many
        note = f"{count:,} of {chosen.candidates:,} {many} to label next, by {chosen.model}"
        if picture is not None:
            with writing("--picture", picture):
                measures_of(data.form).draw_list(chosen.split, rows, note, picture)
    if out is not None:
        with writing("--out", out):
            write_atomically(out, _csv(rows).encode())
    if as_json:
        told = {"model": chosen.model, "candidates": chosen.candidates, "left_out": chosen.left_out}
        return echo(json.dumps(told | {"rows": rows}))
    shown = [{key: elided(str(value), SHOWN) for key, value in row.items()} for row in rows]
    print_rows([{"": n, **row} for n, row in enumerate(shown, 1)], note, as_json=False)
    return echo(*(f"left out: {number:,} {why}" for why, number in chosen.left_out.items()))


def _read(name: str, unlabelled: str, manifest: Manifest, scratch: Path) -> tuple[Dataset, Unsorted]:
    """The data set and the samples without labels, both as the model's were read. Raises: DataError."""
    from modelyard.data.splits import DataConfig
    from modelyard.progress import ConsoleProgress
    from modelyard.sources.unsorted import load_unsorted

    given: Any = manifest.recipe.get("data")
    told = given if isinstance(given, dict) else {}
    words = [f"{key}={json.dumps(told[key])}" for key in DataConfig.model_fields if told.get(key) is not None]
    data = replace(load(name, words), reading=manifest.reading)
    if data.form != manifest.form:
        theirs, ours = (f"{form.names.many} of {form}" for form in (manifest.form, data.form))
        raise DataError(
            f"{name}: expected what {manifest.model_name} was trained on, {theirs}, received {ours}"
        )
    options = folder_options(words, skip_unreadable=False, size_before=None)
    with ConsoleProgress() as progress:
        return data, load_unsorted(unlabelled, data, options, scratch, progress.work)


def _csv(rows: list[dict[str, Any]]) -> str:
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([rows[0], *(row.values() for row in rows)])
    return lines.getvalue()
