"""`modelyard data next`: which samples to label next."""

# Heavy imports happen inside the command, so that --help is quick.
from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.options import JsonOption, folder_options, load, print_rows, writing
from modelyard.errors import DataError
from modelyard.terminal.echo import echo

if TYPE_CHECKING:
    from modelyard.bundle import Manifest
    from modelyard.data.datasets import Dataset
    from modelyard.sources.found import Unsorted

SHOWN = 100
"""Characters of a cell of the table."""


def label_next(  # noqa: PLR0913 - its options
    dataset: Annotated[str, typer.Argument(help="What the model was trained on: a name or path, as of a run.")],
    unlabelled: Annotated[
        str, typer.Option("--unlabelled", help="Samples to choose from: a folder, archive, table or name.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="name, name@alias or name@number; needed where there are several models."
        ),
    ] = "",
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
    from modelyard.inspection import label_next as rule
    from modelyard.inspection.measures import measures_of
    from modelyard.releases.folders import read_release

    bundle = read_release(released_folder(Home.current(), model))
    name = f"{bundle.manifest.model_name}@{bundle.folder.name}"
    with TemporaryDirectory() as scratch:
        data, found = _read(dataset, unlabelled, bundle.manifest, Path(scratch))
        for note in found.notes:
            echo(f"NOTE: {note}", err=True)
        chosen = rule.label_next(bundle, data, found, count, seed)
        measures, rows = measures_of(data.form), chosen.rows
        note = f"{len(rows):,} of {chosen.candidates:,} {data.form.names.many} to label next, by {name}"
        if picture is not None:
            with writing("--picture", picture):
                measures.draw_list(chosen.split, rows, note, picture)
    if out is not None:
        _write(out, rows)
    told = {"model": name, "candidates": chosen.candidates, "left_out": chosen.left_out, "next": rows}
    if as_json:
        return echo(json.dumps(told))
    print_rows([{"": n, **_shown(row)} for n, row in enumerate(rows, 1)], note, as_json=False)
    left_out = "; ".join(f"{number:,} {why}" for why, number in chosen.left_out.items())
    return echo(*([f"left out: {left_out}"] if left_out else []))


def _read(
    name: str, unlabelled: str, manifest: Manifest, scratch: Path
) -> tuple[Dataset, Unsorted]:
    """The data set and the samples without labels, both as the model's were read. Raises: DataError."""
    from dataclasses import replace

    from modelyard.data.splits import DataConfig
    from modelyard.progress import ConsoleProgress
    from modelyard.sources.unsorted import load_unsorted

    given = manifest.recipe.get("data")
    told = given if isinstance(given, dict) else {}
    words = [
        f"data.{key}={json.dumps(told[key])}" for key in DataConfig.model_fields if told.get(key) is not None
    ]
    data = replace(load(name, words), reading=manifest.reading)
    if data.form != manifest.form:
        form, other = manifest.form, data.form
        raise DataError(
            f"{name}: {manifest.model_name} reads {form.names.many} of {form}, these are {other.names.many} of "
            f"{other}; name the data that it was trained on"
        )
    with ConsoleProgress() as progress:
        return data, load_unsorted(unlabelled, data, folder_options(words, False, None), scratch, progress.work)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    from modelyard.files import write_atomically

    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with writing("--out", path):
        write_atomically(path, lines.getvalue().encode())


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    from modelyard.terminal.printable import elided

    sample, *others = (elided(value, SHOWN) if isinstance(value, str) else value for value in row.values())
    shown = {"sample": sample, **dict(zip(list(row)[1:], others, strict=True))}
    return shown | {"probability": f"{row['probability']:.1%}", "score": f"{row['score']:.3f}"}
