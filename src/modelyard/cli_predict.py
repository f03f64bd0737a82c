"""`modelyard predict`: pictures, and folders of them, asked of a released model."""

from __future__ import annotations

import csv
import heapq
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from modelyard.cli_options import JsonOption
from modelyard.errors import ConfigError
from modelyard.home import Home
from modelyard.terminal import echo

SOME_REFUSED, NOTHING_ANSWERED = 1, 2
"""Exit codes."""


def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders: every picture below, in their order.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="name, name@alias or name@number; needed where there are several models.")
    ] = "",
    top: Annotated[int, typer.Option(min=1, help="How many of the most probable classes.")] = 1,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: image,label,probability and label_2,... of --top.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Classify pictures with a released model; needs onnxruntime only. --json prints an object a line, with every probability.

    What cannot be read is a line on stderr and the rest is answered. Exit code 1: some were refused; 2: nothing was answered.
    """
    from modelyard.predict import find_pictures, predict_files

    if as_csv and as_json:
        raise ConfigError("expected one format, received --csv and --json; leave one out")
    pictures, refused = find_pictures(images), 0

    def refuse(reason: object) -> None:
        nonlocal refused
        refused += 1
        echo(f"modelyard: {reason}", err=True)

    answered = 0
    for answered, row in enumerate(predict_files(Home.current(), model, pictures.files, refuse), 1):
        if as_json:
            echo(json.dumps(row))
        else:
            echo(*(_csv(row, top, answered == 1) if as_csv else [_text(row, top)]))
    for reason in pictures.refused:
        refuse(reason)
    if pictures.left_out:
        kinds = ", ".join(f"{ending} {count}" for ending, count in sorted(pictures.left_out.items()))
        echo(f"NOTE: files that are no pictures left out: {kinds}", err=True)
    if refused:
        raise typer.Exit(SOME_REFUSED if answered else NOTHING_ANSWERED)


def _best(row: dict[str, Any], top: int) -> list[tuple[str, float]]:
    return heapq.nlargest(top, row["probabilities"].items(), key=lambda pair: pair[1])


def _text(row: dict[str, Any], top: int) -> str:
    answers = "  ".join(f"{label}  {probability:.1%}" for label, probability in _best(row, top))
    return f"{row['image']}  {answers}  {row['ms']:.2f} ms"


def _csv(row: dict[str, Any], top: int, is_first: bool) -> Iterator[str]:
    """The row's line, and above the first the names of the columns."""
    best = _best(row, top)
    if is_first:
        yield ",".join(
            ["image", *(f"label{end},probability{end}" for end in ["", *(f"_{n + 2}" for n in range(len(best) - 1))])]
        )
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([row["image"], *(part for label, p in best for part in (label, f"{p:.6f}"))])
    yield line.getvalue()
